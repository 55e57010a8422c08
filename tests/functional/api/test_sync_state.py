# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``sync_state`` on resources: right in every answer, and free of charge on lists."""

import collections.abc
import contextlib
import threading
import typing

import pytest
import sqlalchemy as sa
from neutron.db import models_v2

from benchmarks import seeds
from networking_workflow.model import failures
from tests.functional.api import clients, seed

_LISTS = (
    *("networks", "subnets", "ports"),
    *("security-groups", "security-group-rules", "address-groups"),
)


@contextlib.contextmanager
def statements() -> collections.abc.Iterator[list[str]]:
    """Collect the statements of the block, of all engines.

    Those of this thread alone, in which the API answers: what other tests have left running in
    this process has statements of its own.
    """
    seen: list[str] = []
    mine = threading.get_ident()

    def note(_connection: typing.Any, _cursor: typing.Any, statement: str, *_: typing.Any) -> None:
        if threading.get_ident() == mine:
            seen.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


def make_one_of_each(tenant: clients.Client) -> dict[str, dict[str, typing.Any]]:
    """Create one resource of each kind that shows the state; return the answers by kind."""
    network = tenant.create("network", name="n")
    subnet = tenant.create("subnet", network_id=network["id"], ip_version=4, cidr="10.0.0.0/24")
    group = tenant.create("security_group", name="g")
    return {
        "network": network,
        "subnet": subnet,
        "port": tenant.create("port", network_id=network["id"]),
        "security_group": group,
        "security_group_rule": tenant.create(
            "security_group_rule", security_group_id=group["id"], direction="ingress"
        ),
        "address_group": tenant.create("address_group", name="a", addresses=["10.1.0.0/24"]),
    }


def settle(
    tenant: clients.Client,
    resource_id: str,
    how: collections.abc.Callable[[str], None],
) -> None:
    """Let each unfinished workflow of a resource end in a way of the seed's."""
    unfinished = f"resource_id={resource_id}&workflow_state=READY&workflow_state=WAITING"
    first = f"/workflows?{unfinished}&sort_key=created_at&sort_dir=asc"
    while rows := tenant.get(first):
        how(rows[0]["id"])


@pytest.mark.on_sqlite
def test_the_answer_of_a_create_says_pending(neutron: clients.Neutron) -> None:
    tenant = neutron.tenant()
    for kind, answer in make_one_of_each(tenant).items():
        assert (kind, answer["sync_state"]) == (kind, "PENDING")
        assert answer["sync_error"] is None
        shown = tenant.get(f"/{kind.replace('_', '-')}s/{answer['id']}")
        said = (kind, answer["sync_state"], answer["sync_updated_at"])
        assert (kind, shown["sync_state"], shown["sync_updated_at"]) == said


def test_rules_made_with_their_group_show_its_state(
    neutron: clients.Neutron, seeded: seed.Seed
) -> None:
    tenant = neutron.tenant()
    group = tenant.create("security_group", name="g")
    assert [rule["sync_state"] for rule in group["security_group_rules"]] == ["PENDING"] * 2
    settle(tenant, group["id"], seeded.succeed)
    shown = tenant.get(f"/security-groups/{group['id']}")
    assert shown["sync_state"] == "SYNCED"
    assert [rule["sync_state"] for rule in shown["security_group_rules"]] == ["SYNCED"] * 2
    rules = tenant.get(f"/security-group-rules?security_group_id={group['id']}&sync_state=SYNCED")
    assert len(rules) == 2
    assert not tenant.get(
        f"/security-group-rules?security_group_id={group['id']}&sync_state=UNMANAGED"
    )


def test_an_update_answers_pending_and_one_that_changes_nothing_does_not(
    neutron: clients.Neutron, seeded: seed.Seed
) -> None:
    tenant = neutron.tenant()
    for kind, made in make_one_of_each(tenant).items():
        if kind == "security_group_rule":
            continue  # rules have no update
        settle(tenant, made["id"], seeded.succeed)
        same = tenant.update(kind, made["id"], name=made["name"])
        assert (kind, same["sync_state"]) == (kind, "SYNCED")
        changed = tenant.update(kind, made["id"], name="renamed")
        assert (kind, changed["sync_state"]) == (kind, "PENDING")


def test_adding_addresses_answers_pending(neutron: clients.Neutron, seeded: seed.Seed) -> None:
    tenant = neutron.tenant()
    group = tenant.create("address_group", name="a")
    settle(tenant, group["id"], seeded.succeed)
    path = f"/address-groups/{group['id']}/add_addresses"
    answer = tenant.call("PUT", path, {"addresses": ["10.9.0.0/16"]})
    assert answer.status == 200
    assert answer.body["address_group"]["sync_state"] == "PENDING"


def test_bulk_creates_answer_pending(neutron: clients.Neutron) -> None:
    tenant = neutron.tenant()
    network = tenant.create("network", name="n")
    bodies = [{"network_id": network["id"]} for _ in range(3)]
    answer = tenant.call("POST", "/ports", {"ports": bodies})
    assert [port["sync_state"] for port in answer.body["ports"]] == ["PENDING"] * 3


@pytest.mark.on_sqlite
def test_success_and_failure_show_on_the_resource(
    neutron: clients.Neutron, seeded: seed.Seed
) -> None:
    tenant = neutron.tenant()
    network = tenant.create("network", name="n")
    good = tenant.create("port", network_id=network["id"])
    settle(tenant, good["id"], seeded.succeed)
    bad = tenant.create("port", network_id=network["id"])
    settle(tenant, bad["id"], seeded.fail)
    shown = tenant.get(f"/ports/{bad['id']}")
    assert shown["sync_state"] == "ERROR"
    assert shown["sync_error"] == failures.TENANT_TEXT[failures.FailureCode.BACKEND_REFUSED]
    assert seed.DETAIL_SECRET not in str(tenant.get("/ports"))
    assert tenant.get(f"/ports/{good['id']}")["sync_state"] == "SYNCED"
    mine = f"network_id={network['id']}"
    assert [p["id"] for p in tenant.get(f"/ports?{mine}&sync_state=ERROR")] == [bad["id"]]
    both = tenant.get(f"/ports?{mine}&sync_state=ERROR&sync_state=SYNCED&limit=10")
    assert {port["id"] for port in both} == {good["id"], bad["id"]}


@pytest.mark.on_sqlite
def test_status_is_neutrons_own_unless_configured_otherwise(
    neutron: clients.Neutron, seeded: seed.Seed
) -> None:
    tenant = neutron.tenant()
    port = tenant.create("port", network_id=tenant.create("network")["id"])
    settle(tenant, port["id"], seeded.fail)
    (shown,) = tenant.get(f"/ports?id={port['id']}&status=DOWN")
    assert (shown["status"], shown["sync_state"]) == ("DOWN", "ERROR")
    assert tenant.status("GET", "/ports?extended_status=ERROR") == 400
    # The database computes it all the same; tests/functional/services has the mode itself.
    found = neutron.plugin.get_ports(
        neutron.context(),
        filters={"id": [port["id"]], "extended_status": ["ERROR"]},
        sorts=[("extended_status", True)],
    )
    assert [one["id"] for one in found] == [port["id"]]


def test_an_unreachable_backend_is_said_on_the_port(
    neutron: clients.Neutron, seeded: seed.Seed
) -> None:
    tenant = neutron.tenant()
    port = tenant.create("port", network_id=tenant.create("network", name="n")["id"])
    settle(tenant, port["id"], seeded.unreachable)
    shown = tenant.get(f"/ports/{port['id']}")
    assert shown["sync_state"] == "PENDING"
    assert shown["sync_error"] == failures.TENANT_TEXT[failures.FailureCode.BACKEND_UNREACHABLE]


def test_a_resource_older_than_the_journal_is_unmanaged(
    neutron: clients.Neutron, seeded: seed.Seed
) -> None:
    tenant = neutron.tenant()
    network = tenant.create("network", name="n")
    with seeded.engine.begin() as connection:
        connection.execute(
            sa.text("DELETE FROM workflow_resource_sync WHERE resource_id = :id"),
            {"id": network["id"]},
        )
    assert tenant.get(f"/networks/{network['id']}")["sync_state"] == "UNMANAGED"
    (found,) = tenant.get(f"/networks?id={network['id']}&sync_state=UNMANAGED")
    assert found["sync_error"] is None


@pytest.mark.on_sqlite
@pytest.mark.parametrize("collection", _LISTS)
def test_every_collection_is_filtered(
    neutron: clients.Neutron, seeded: seed.Seed, collection: str
) -> None:
    tenant = neutron.tenant()
    made = make_one_of_each(tenant)[collection[:-1].replace("-", "_")]
    settle(tenant, made["id"], seeded.fail)
    assert [row["id"] for row in tenant.get(f"/{collection}?sync_state=ERROR")] == [made["id"]]
    assert tenant.status("GET", f"/{collection}?sync_state=BROKEN") == 400


@pytest.mark.parametrize("kind", ["network", "port", "security_group"])
def test_nobody_sets_it(neutron: clients.Neutron, kind: str) -> None:
    tenant = neutron.tenant()
    made = make_one_of_each(tenant)[kind]
    path = f"/{kind.replace('_', '-')}s/{made['id']}"
    assert tenant.status("PUT", path, {kind: {"sync_state": "SYNCED"}}) == 400


@pytest.fixture
def copied(neutron: clients.Neutron) -> collections.abc.Iterator[seeds.Seeds]:
    made = seeds.Seeds(neutron.database.url)
    yield made
    made.close()


def make_port(tenant: clients.Client) -> dict[str, typing.Any]:
    """Return a port with an address, on a network of its own."""
    network = tenant.create("network", name="n")["id"]
    tenant.create("subnet", network_id=network, ip_version=4, cidr="10.0.0.0/22")
    return tenant.create("port", network_id=network)


def test_a_list_takes_as_many_statements_for_100_ports_as_for_10(
    neutron: clients.Neutron, copied: seeds.Seeds
) -> None:
    asked = []
    for number in (10, 100):
        tenant = neutron.tenant()
        copied.copy(make_port(tenant), number - 1)
        tenant.get("/ports")  # whatever is read only once
        with statements() as seen:
            assert len(tenant.get("/ports")) == number
        asked.append(seen)
    assert asked[0]
    assert len(asked[0]) == len(asked[1]), asked


@pytest.mark.parametrize("collection", _LISTS)
def test_no_list_asks_for_states_one_by_one(neutron: clients.Neutron, collection: str) -> None:
    tenant = neutron.tenant()
    make_one_of_each(tenant)
    tenant.get(f"/{collection}")
    with statements() as seen:
        tenant.get(f"/{collection}")
    assert any("workflow_resource_sync" in text for text in seen)
    # A state that did not come with its row is asked for with nothing else.
    assert [text for text in seen if text.startswith("SELECT (SELECT")] == []


def test_pages_of_ports_are_cut_by_the_database(
    neutron: clients.Neutron, copied: seeds.Seeds
) -> None:
    tenant = neutron.tenant()
    copied.copy(make_port(tenant), 39)
    loaded: list[typing.Any] = []

    def note(port: typing.Any, _context: typing.Any) -> None:
        loaded.append(port)

    sa.event.listen(models_v2.Port, "load", note)
    try:
        assert len(tenant.get("/ports?limit=5")) == 5
    finally:
        sa.event.remove(models_v2.Port, "load", note)
    assert len(loaded) == 5
    assert tenant.status("GET", "/ports?limit=5&marker=none") == 404
