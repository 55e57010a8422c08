# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What the API says of routers and the rest: their state, and the whole of one operation."""

import pytest
import sqlalchemy as sa

from networking_workflow.journal import tables
from tests.functional.api.test_sync_state import statements

#: Kind -> path of its collection, and how the world makes one.
SHOWN = {
    "router": ("routers", "bare"),
    "floatingip": ("floatingips", "floatingip"),
    "policy": ("qos/policies", "policy"),
    "trunk": ("trunks", "trunk"),
}


def settle(world, state):
    """Let all that is recorded have ended in this state."""
    with world.neutron.engine.begin() as connection:
        connection.execute(sa.update(tables.resource_sync).values(sync_state=state))


@pytest.mark.parametrize("kind", SHOWN)
def test_write_answers_pending_and_a_read_what_became_of_it(world, kind):
    path, attribute = SHOWN[kind]
    made = getattr(world, attribute)
    assert made["sync_state"] == "PENDING"
    settle(world, "SYNCED")
    one = f"{path}/{made['id']}"
    assert world.neutron.call("GET", one)[kind]["sync_state"] == "SYNCED"
    assert world.neutron.call("GET", f"{path}?id={made['id']}&sync_state=ERROR") == {
        path.rpartition("/")[2]: []
    }
    (found,) = next(
        iter(world.neutron.call("GET", f"{path}?id={made['id']}&sync_state=SYNCED").values())
    )
    assert found["sync_error"] is None
    assert found["sync_updated_at"]
    changed = world.neutron.call("PUT", one, {kind: {"description": "x"}})[kind]
    assert changed["sync_state"] == "PENDING"


@pytest.mark.parametrize("kind", SHOWN)
def test_nobody_sets_the_state(world, kind):
    path, attribute = SHOWN[kind]
    made = getattr(world, attribute)
    body = {kind: {"sync_state": "SYNCED"}}
    world.neutron.call("PUT", f"{path}/{made['id']}", body, status=400)


@pytest.mark.parametrize("kind", SHOWN)
def test_no_list_asks_for_states_one_by_one(world, kind):
    path, attribute = SHOWN[kind]
    assert getattr(world, attribute)
    world.neutron.call("GET", path)
    with statements() as seen:
        world.neutron.call("GET", path)
    assert any("workflow_resource_sync" in text for text in seen)
    # A state that did not come with its row is asked for with nothing else.
    assert [text for text in seen if text.startswith("SELECT (SELECT")] == []


def test_routes_that_are_added_answer_pending(world):
    assert world.router
    settle(world, "SYNCED")
    route = {"destination": "192.0.2.0/24", "nexthop": "10.0.0.77"}
    path = f"routers/{world.router['id']}/add_extraroutes"
    answer = world.neutron.call("PUT", path, {"router": {"routes": [route]}})
    assert answer["router"]["sync_state"] == "PENDING"


#: Call of several transactions -> what there is before it, the call, and what it records.
WHOLE = {
    "interface": (
        lambda w: (w.bare, w.subnet),
        lambda w, made: w.interface(made[0], "add", subnet_id=made[1]["id"]),
        [("create", "port"), ("create", "router_interface")],
    ),
    "floating ip": (
        lambda w: (w.router, w.port),
        lambda w, made: w.add_floatingip(port_id=made[1]["id"]),
        [("create", "floatingip"), ("create", "port"), ("update", "port")],
    ),
    "gateway": (
        lambda w: (w.bare, w.external),
        lambda w, made: w.put(
            "router", made[0], external_gateway_info={"network_id": made[1]["id"]}
        ),
        [("create", "port"), ("update", "router")],
    ),
    "router with gateway": (
        lambda w: w.put("router", w.bare, external_gateway_info={"network_id": w.external["id"]}),
        lambda w, router: w.neutron.delete("router", router["id"]),
        [("delete", "port"), ("delete", "router"), ("update", "router")],
    ),
}


@pytest.mark.parametrize("name", WHOLE)
def test_all_workflows_of_one_call_are_found_by_its_operation(world, name):
    prepare, call, expected = WHOLE[name]
    prepared = prepare(world)
    with world.neutron.capturing() as found:
        call(world, prepared)
    (operation,) = {one.row.operation_id for one in found}
    rows = world.neutron.call("GET", f"workflows?operation_id={operation}")["workflows"]
    assert {row["id"] for row in rows} == {one.row.id for one in found}
    assert sorted({(row["operation"], row["resource_type"]) for row in rows}) == expected
