# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What others change while a call that is to be undone is on its way, and rare ways to change."""

import concurrent.futures
import contextlib
import typing
import uuid

import pytest
import sqlalchemy as sa
from neutron.db import models_v2
from neutron.db.models import allowed_address_pair, securitygroup
from neutron_lib.db import api as db_api
from sqlalchemy import event, orm

from networking_workflow.capture import schema
from networking_workflow.journal import tables
from tests.functional.capture import inprocess, undoing
from tests.functional.capture.world import World, host_bound_port, only
from tests.waiting import wait_until

PATIENCE_S = 30.0


@pytest.fixture
def threads() -> typing.Iterator[concurrent.futures.Executor]:
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        yield executor


def refused(call: undoing.Call) -> str:
    """Return why a call whose workflows have failed is not undone."""
    call.fail()
    restored = call.undo()
    assert not restored.done
    assert not restored.workflow_ids
    return restored.why_not


def until_somebody_waits_for_a_lock(neutron: inprocess.Neutron) -> None:
    """Return when a transaction of MariaDB waits for another's lock."""
    waiting = sa.text("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'")

    def seen() -> bool:
        with neutron.engine.connect() as connection:
            return bool(int(connection.execute(waiting).one()[1]))

    wait_until(seen, PATIENCE_S, "the undoing to wait for a lock")


RELYING: dict[
    str, tuple[typing.Callable[[World], typing.Any], typing.Callable[..., typing.Any]]
] = {
    "a port in a group": (
        lambda w: w.neutron.create("security_group", name="new"),
        lambda w, group: w.put("port", security_groups=[group["id"]]),
    ),
    "an address in a subnet": (
        lambda w: w.add_subnet(),
        lambda w, subnet: w.put("port", fixed_ips=[{"subnet_id": subnet["id"]}]),
    ),
}


@pytest.mark.parametrize("name", RELYING)
def test_parts_of_other_resources_do_not_go_with_what_they_refer_to(
    world: World, name: str
) -> None:
    make, rely = RELYING[name]
    assert world.port
    call = undoing.Call(world.neutron, lambda: make(world))
    before = rely(world, call.answer)
    assert "relies on what this call made" in refused(call)
    after = world.neutron.show("port", world.port["id"])
    assert after["security_groups"] == before["security_groups"]
    assert after["fixed_ips"] == before["fixed_ips"]


def rename(world: World, name: str, connection: sa.Connection | None = None) -> None:
    """Change the network's row past capture."""
    networks = schema.tables()["networks"]
    change = sa.update(networks).where(networks.c.id == world.network["id"]).values(name=name)
    with contextlib.ExitStack() as stack:
        connection = connection or stack.enter_context(world.neutron.engine.begin())
        connection.execute(change)


PLACES: dict[str, typing.Callable[[World], typing.Any]] = {
    "subnet": lambda w: w.add_subnet(cidr="10.9.0.0/24"),
    "security_group_rule": lambda w: w.add_rule(protocol="udp"),
}


@pytest.mark.parametrize("kind", PLACES)
def test_what_neutron_would_refuse_to_make_does_not_come_back(world: World, kind: str) -> None:
    old = PLACES[kind](world)
    call = undoing.Call(world.neutron, lambda: world.neutron.delete(kind, old["id"]))
    new = PLACES[kind](world)
    assert "has taken the place" in refused(call)
    world.neutron.call("GET", f"{kind.replace('_', '-')}s/{old['id']}", status=404)
    assert world.neutron.show(kind, new["id"])


@pytest.mark.parametrize("kind", PLACES)
def test_what_a_call_has_replaced_itself_comes_back(world: World, kind: str) -> None:
    old = PLACES[kind](world)
    before = undoing.rows(world.neutron.engine)

    def replace() -> None:
        world.neutron.delete(kind, old["id"])
        PLACES[kind](world)

    undoing.assert_undone(undoing.Call(world.neutron, replace), before)


@pytest.mark.parametrize("is_captured", [True, False])
def test_what_others_change_between_two_commits_of_the_call_is_not_undone(
    world: World, threads: concurrent.futures.Executor, is_captured: bool
) -> None:
    own = world.network["id"]

    def theirs() -> None:
        if is_captured:
            world.put("network", port_security_enabled=False)
        else:
            rename(world, "theirs")

    def call() -> None:
        world.put("network", name="first")
        threads.submit(theirs).result(PATIENCE_S)
        world.put("network", name="second")

    assert "was changed again" in refused(undoing.Call(world.neutron, call))
    shown = world.neutron.show("network", own)
    assert (shown["name"], shown["port_security_enabled"]) == ("second", not is_captured)


def test_a_call_is_undone_as_a_whole_when_it_changed_a_resource_more_than_once(
    world: World,
) -> None:
    assert world.network
    before = undoing.rows(world.neutron.engine)
    undoing.assert_undone(
        undoing.Call(
            world.neutron, lambda: [world.put("network", name=name) for name in ("first", "second")]
        ),
        before,
    )


def test_a_change_that_is_committed_while_the_undoing_waits_for_its_row_stays(
    world: World, threads: concurrent.futures.Executor
) -> None:
    assert world.network
    call = undoing.Call(world.neutron, lambda: world.put("network", name="fails"))
    with world.neutron.engine.begin() as connection:
        rename(world, "later", connection)
        why_not = threads.submit(refused, call)
        until_somebody_waits_for_a_lock(world.neutron)
    assert "changed again since" in why_not.result(PATIENCE_S)
    assert world.neutron.show("network", world.network["id"])["name"] == "later"


def test_a_later_workflow_that_is_committed_while_the_undoing_waits_for_its_key_is_seen(
    world: World, threads: concurrent.futures.Executor
) -> None:
    bodies = [{"name": "a"}, {"name": "b"}]
    call = undoing.Call(world.neutron, lambda: world.neutron.create_bulk("network", bodies))
    last = max(network["id"] for network in call.answer)
    table, key = tables.workflows, tables.keys.c.k == f"default:network/{last}"
    with world.neutron.engine.begin() as connection:
        connection.execute(sa.select(tables.keys.c.k).where(key).with_for_update())
        why_not = threads.submit(refused, call)
        until_somebody_waits_for_a_lock(world.neutron)
        query = sa.select(table).where(table.c.resource_id == last)
        row = dict(connection.execute(query).mappings().one())
        row |= {"id": str(uuid.uuid4()), "operation_id": "theirs", "gen": row["gen"] + 1}
        connection.execute(sa.insert(table).values(row))
    assert "was changed again by" in why_not.result(PATIENCE_S)


def writing(world: World, do: typing.Callable[[typing.Any], typing.Any]) -> undoing.Call:
    """Let one transaction of a session do something, as a call that is kept."""

    def call() -> None:
        with db_api.CONTEXT_WRITER.using(world.neutron.context()) as session:
            do(session)

    return undoing.Call(world.neutron, call)


def test_what_goes_with_a_row_comes_back_if_the_row_was_changed_before_it_was_deleted(
    world: World,
) -> None:
    assert world.rule
    before = undoing.rows(world.neutron.engine)

    def change_and_delete(session: typing.Any) -> None:
        group = session.get(securitygroup.SecurityGroup, world.group["id"])
        group.name = "changed"
        session.flush()
        table = schema.tables()["securitygroups"]
        session.execute(sa.delete(table).where(table.c.id == group.id))

    undoing.assert_rows(writing(world, change_and_delete), before)


def test_a_row_that_one_flush_deletes_and_makes_anew_is_as_before(world: World) -> None:
    pair = {"ip_address": "10.0.0.50", "mac_address": "fa:16:3e:00:00:01"}
    assert world.port
    world.put("port", allowed_address_pairs=[pair], description="x")
    before = undoing.rows(world.neutron.engine)

    def replace(session: typing.Any) -> None:
        port = session.get(models_v2.Port, world.port["id"])
        (old,) = session.query(allowed_address_pair.AllowedAddressPair).filter_by(port_id=port.id)
        session.delete(old)
        session.add(allowed_address_pair.AllowedAddressPair(port_id=port.id, **pair))

    undoing.assert_undone(writing(world, replace), before)


@pytest.mark.on_sqlite
def test_rows_with_keys_of_several_columns_are_read_whatever_their_number(world: World) -> None:
    names = [
        schema.RowName("securitygroupportbindings", (str(uuid.uuid4()), world.group["id"]))
        for _ in range(2_000)
    ]
    (known,) = world.port["security_groups"]
    there = schema.RowName("securitygroupportbindings", (world.port["id"], known))
    with world.neutron.engine.connect() as connection:
        assert set(schema.read(connection, [*names, there])) == {there}


def test_the_undoing_is_tried_again_when_a_revision_number_has_gone_on_meanwhile(
    world: World,
) -> None:
    assert world.network
    before = undoing.rows(world.neutron.engine)
    call = undoing.Call(world.neutron, lambda: world.put("network", name="fails"))

    def stale(*_: typing.Any) -> None:
        raise orm.exc.StaleDataError

    event.listen(orm.Session, "before_flush", stale, once=True)
    undoing.assert_undone(call, before)


@pytest.mark.parametrize("made", [True, False], ids=["made", "bound"])
def test_what_backends_say_of_a_status_meanwhile_hinders_no_undoing(
    world: World, made: bool
) -> None:
    host = {"binding:host_id": "host-ovs-no_filter"}
    assert world.port
    if made:
        call = undoing.Call(
            world.neutron,
            lambda: world.neutron.create("port", network_id=world.network["id"], **host),
        )
        port = call.answer
    else:
        port = world.port
        world.neutron.plugin.update_port_status(world.neutron.context(), port["id"], "ACTIVE")
        call = undoing.Call(world.neutron, lambda: world.put("port", **host))
    status = "ACTIVE" if port["status"] != "ACTIVE" else "DOWN"
    world.neutron.plugin.update_port_status(world.neutron.context(), port["id"], "BUILD")
    world.neutron.plugin.update_port_status(world.neutron.context(), port["id"], status)
    call.fail()
    restored = call.undo()
    assert restored.done, restored.why_not
    assert made or world.neutron.show("port", port["id"])["binding:host_id"] == ""


HOST = "host-ovs-no_filter"


def up_port(world: World) -> dict[str, typing.Any]:
    """Return a bound port that its backend has reported to be up."""
    port: dict[str, typing.Any] = host_bound_port(world)
    world.neutron.plugin.update_port_status(world.neutron.context(), port["id"], "ACTIVE")
    return port


#: What a call does to a port, and the port's status once the call is undone.
ENDS: dict[str, tuple[typing.Callable[[World, typing.Any], typing.Any], str]] = {
    "moved": (lambda w, port: move(w, port, "host-bridge-filter"), "DOWN"),
    "unbound": (lambda w, port: move(w, port, ""), "DOWN"),
    "plugged elsewhere": (lambda w, port: plug(w, port, "eth2"), "DOWN"),
    "deleted": (lambda w, port: w.neutron.delete("port", port["id"]), "DOWN"),
    "renamed": (lambda w, port: w.neutron.update("port", port["id"], name="x"), "ACTIVE"),
}


def move(world: World, port: typing.Any, host: str) -> None:
    world.neutron.update("port", port["id"], **{"binding:host_id": host})


def plug(world: World, port: typing.Any, name: str) -> None:
    link = {"switch_info": "leaf", "port_id": name}
    profile = {"local_link_information": [link]}
    world.neutron.update("port", port["id"], **{"binding:profile": profile})


@pytest.mark.parametrize("how", ENDS)
def test_port_whose_binding_goes_back_is_down_until_its_backend_reports_it(
    world: World, how: str
) -> None:
    do, status = ENDS[how]
    port = up_port(world)
    call = undoing.Call(world.neutron, lambda: do(world, port))
    if how == "moved":  # and has come up where the call moved it
        world.neutron.plugin.update_port_status(world.neutron.context(), port["id"], "ACTIVE")
    call.fail()
    assert call.undo().done
    shown = world.neutron.show("port", port["id"])
    assert (shown["status"], shown["binding:host_id"]) == (status, HOST)
    assert shown["binding:vif_type"] == "ovs"


@pytest.mark.parametrize("kind", ["network", "subnet", "port"])
def test_what_a_call_made_is_deleted_with_all_that_a_driver_needs(world: World, kind: str) -> None:
    """A task that failed may have left something of it in the backend."""
    bodies: dict[str, dict[str, typing.Any]] = {
        "network": {"name": "new"},
        "subnet": {"network_id": world.network["id"], "cidr": "10.9.0.0/24", "ip_version": 4},
        "port": {
            "network_id": world.network["id"],
            "fixed_ips": [{"subnet_id": world.subnet["id"]}],
            "binding:host_id": HOST,
        },
    }
    call = undoing.Call(world.neutron, lambda: world.neutron.create(kind, **bodies[kind]))
    call.fail()
    with world.neutron.capturing() as found:
        assert call.undo().done
    snapshot = only(found, kind, "delete").row.snapshot
    assert snapshot["deleted"]["id"] == call.answer["id"]
    edge = snapshot["edge"]
    if kind == "subnet":
        assert edge["network"]["id"] == world.network["id"]
    else:
        assert [segment["network_type"] for segment in edge["segments"]] == ["geneve"]
    if kind == "port":
        assert edge["binding"]["host"] == snapshot["deleted"]["binding:host_id"] == HOST
        assert [level["driver"] for level in edge["binding_levels"]] == ["test"]


def test_port_that_goes_back_says_where_the_call_had_moved_it(world: World) -> None:
    """A task that failed may have left something there."""
    port = up_port(world)
    call = undoing.Call(world.neutron, lambda: plug(world, port, "eth2"))
    call.fail()
    with world.neutron.capturing() as found:
        assert call.undo().done
    snapshot = only(found, "port", "update").row.snapshot
    plugged = links_of(snapshot["original"]["binding:profile"])
    assert plugged == links_of(snapshot["edge"]["original_binding"]["profile"]) == ["eth2"]


def links_of(profile: dict[str, typing.Any]) -> list[str]:
    return [link["port_id"] for link in profile["local_link_information"]]
