# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What security groups log: as stock writes it, and healed."""

import collections.abc
import dataclasses

import pytest

from lab import ovn as lab_ovn
from lab.databases import pool
from lab.neutron import config as lab_config
from networking_workflow.model import errors
from tests.functional.ovn import cloud, logged, noticing

DROP_GROUP = "neutron_pg_drop"


class Neutron(cloud.StockNeutron):
    """Stock with logging."""

    def profile(self) -> lab_config.Profile:
        return dataclasses.replace(super().profile(), service_plugins=("log",), tenants=True)


class World:
    """Three groups, one of them stateless, and a port in two of them."""

    def __init__(self, neutron: Neutron, conductor: cloud.Conductor) -> None:
        self.neutron, self.conductor = neutron, conductor
        self.group, self.other, self.stateless = (
            neutron.create("security_group", name=name)["id"] for name in ("a", "b", "c")
        )
        neutron.update("security_group", self.stateless, stateful=False)
        self.rule = logged.rule(neutron, self.group, 22)
        network = neutron.create("network")["id"]
        groups = [self.group, self.other]
        self.port = neutron.create("port", network_id=network, security_groups=groups)["id"]

    @property
    def groups(self) -> tuple[str, ...]:
        return self.group, self.other, self.stateless

    def apply(self, kind: str, resource_id: str) -> list[str]:
        """Apply, and return the columns that were noticed to differ."""
        with noticing.noticed() as found:
            self.conductor.apply(kind, resource_id)
        return noticing.names(found)

    def notices(self, *logs: str) -> list[str]:
        """Return what all that writes what is logged finds to differ."""
        kinds = [*(("log", one) for one in logs), ("port", self.port)]
        kinds += [("security_group_rule", self.rule)]
        kinds += [("security_group", one) for one in self.groups]
        return [f"{kind} {one}" for kind, which in kinds for one in self.apply(kind, which)]

    def acl(self, group: str, priority: int = 1002, condition: str = "direction=to-lport") -> str:
        """Return the UUID of one ACL of a group."""
        name = group if group == DROP_GROUP else f"pg_{group}".replace("-", "_")
        conditions = (condition, f"priority={priority}")
        nbctl = self.neutron.ovn.nbctl
        found = nbctl("--bare", "--columns=_uuid", "find", "ACL", *conditions).split()
        port_group = nbctl("--bare", "--columns=acls", "find", "Port_Group", f"name={name}")
        return next(one for one in found if one in port_group.split())

    def unlog(self) -> None:
        """Take away whatever logs: columns, ACLs, meters."""
        nbctl = self.neutron.ovn.nbctl
        for one in nbctl("--bare", "--columns=_uuid", "find", "ACL", "log=true").split():
            nbctl(
                *("set", "ACL", one, "log=false", "label=0"),
                *("--", "clear", "ACL", one, "name", "meter", "severity", "options"),
            )
        for group in self.groups:
            name = f"pg_{group}".replace("-", "_")
            for direction, port in (("from-lport", "inport"), ("to-lport", "outport")):
                match = f"{port} == @{name} && ip"
                nbctl("--type=port-group", "acl-del", name, direction, "1001", match)
        nbctl("meter-del")


@pytest.fixture(scope="module")
def world(database_pool: pool.Pool, ovn: lab_ovn.OvnCentral) -> collections.abc.Iterator[World]:
    with cloud.driven(Neutron, cloud.Conductor, database_pool, ovn) as (running, conductor):
        yield World(running, conductor)


#: What a log object is about -> what it is made with.
ABOUT: dict[str, collections.abc.Callable[[World], dict[str, str]]] = {
    "all": lambda _world: {},
    "group": lambda world: {"resource_id": world.group},
    "stateless": lambda world: {"resource_id": world.stateless},
    "port": lambda world: {"target_id": world.port},
    "both": lambda world: {"resource_id": world.other, "target_id": world.port},
}


@pytest.mark.parametrize(
    ("about", "event"),
    [
        *(("all", "ALL"), ("all", "ACCEPT"), ("all", "DROP")),
        *(("group", "ALL"), ("group", "DROP"), ("stateless", "ALL")),
        *(("port", "ACCEPT"), ("port", "DROP"), ("both", "ALL")),
    ],
)
def test_what_stock_has_written_is_what_the_driver_would_write(
    world: World, about: str, event: str
) -> None:
    silent = logged.rows(world.neutron)
    log = logged.make(world.neutron, event=event, **ABOUT[about](world))
    by_stock = logged.rows(world.neutron)
    assert by_stock != silent
    assert world.notices(log) == []
    assert logged.rows(world.neutron) == by_stock

    world.unlog()
    assert logged.rows(world.neutron) == silent
    assert world.apply("log", log) != []
    assert logged.rows(world.neutron) == by_stock

    logged.remove(world.neutron, log)
    assert logged.rows(world.neutron) == silent
    assert world.notices() == []


def test_of_several_log_objects_each_acl_names_one_as_with_stock(world: World) -> None:
    silent = logged.rows(world.neutron)
    every = logged.make(world.neutron, event="ALL")
    port = logged.make(world.neutron, event="DROP", target_id=world.port)
    group = logged.make(world.neutron, event="ACCEPT", resource_id=world.group)
    by_stock = logged.rows(world.neutron)
    logs = every, port, group
    assert world.notices(*logs) == []
    assert set(logged.names(world.neutron, world.group)) == {every}
    assert logged.names(world.neutron, world.group, 1001) == [port, port]

    world.unlog()
    world.apply("log", port)
    world.apply("log", every)
    world.apply("log", group)
    assert logged.rows(world.neutron) == by_stock

    logged.remove(world.neutron, every)
    assert world.notices(port, group) == []
    assert set(logged.names(world.neutron, world.group)) == {group}
    assert set(logged.names(world.neutron, world.other)) == {""}
    for log in (port, group):
        logged.remove(world.neutron, log)
    assert world.notices() == []
    assert logged.rows(world.neutron) == silent


def test_deleted_log_object_leaves_its_acls_to_others_and_the_last_one_takes_the_meters(
    world: World,
) -> None:
    silent = logged.rows(world.neutron)
    first = logged.make(world.neutron, event="ALL", resource_id=world.group)
    second = logged.make(world.neutron, event="ALL", target_id=world.port)
    both = logged.rows(world.neutron)
    assert set(logged.names(world.neutron, world.group)) == {first}
    deleted = {}
    for log, about in ((first, {"resource_id": world.group}), (second, {})):
        logged.remove(world.neutron, log)
        by_stock = logged.rows(world.neutron)
        _put_back(world, both, first, second)
        deleted = {"deleted": {"id": log, **about}}
        world.conductor.apply("log", log, "delete", deleted)
        assert logged.rows(world.neutron) == by_stock
    assert by_stock == silent


def _put_back(world: World, before: list[logged.Made], *logs: str) -> None:
    """Let OVN log as if no log object had been deleted."""
    nbctl = world.neutron.ovn.nbctl
    world.unlog()
    for meter in before:
        if "unit" in meter:
            rate, burst = meter["band"]
            nbctl(
                *("--", "--id=@b", "create", "Meter_Band", "action=drop", f"rate={rate}"),
                *(f"burst_size={burst}", "--", "create", "Meter", f"name={meter['name']}"),
                *("unit=pktps", "fair=true", "bands=@b"),
            )
    for row in before:
        if not row.get("log"):
            continue
        name = row["match"].split("@")[1].split(" ")[0]
        if row["priority"] == 1001:
            nbctl(
                *("--type=port-group", f"--name={row['name']}", "--log", "--severity=info"),
                *(f"--meter={row['meter']}", "acl-add", name, row["direction"], "1001"),
                *(row["match"], "drop"),
            )
            continue
        port_group = nbctl("--bare", "--columns=acls", "find", "Port_Group", f"name={name}")
        found = nbctl(
            *("--bare", "--columns=_uuid", "find", "ACL", f"match={_quoted(row['match'])}")
        )
        for acl in set(found.split()) & set(port_group.split()):
            nbctl(
                *("set", "ACL", acl, "log=true", f"name={row['name']}", "label=7"),
                *(f"meter={row['meter']}", "severity=info", "options:log-related=true"),
            )
    assert logged.rows(world.neutron) != []


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '\\"') + '"'


@pytest.fixture(scope="module")
def everything(world: World) -> str:
    """A log object for all of a group, with one for what nothing allows: three kinds of ACLs.

    For the rest of the module: what is above needs a cloud in which nothing logs.
    """
    logged.make(world.neutron, event="DROP")
    return logged.make(world.neutron, event="ALL", resource_id=world.group)


#: Words of ``ovn-nbctl set ACL``, and how it is called.
COLUMNS = {
    "log=false": "ACL log",
    "name=damaged": "ACL name",
    "meter=damaged": "ACL meter",
    "severity=alert": "ACL severity",
    "label=0": "ACL label",
    "options:log-related=false": "ACL options:log-related",
}


@pytest.mark.parametrize("kind", ["log", "security_group", "security_group_rule"])
@pytest.mark.parametrize("words", COLUMNS)
def test_damaged_column_of_a_rule_is_noticed_by_name_and_healed(
    world: World, everything: str, kind: str, words: str
) -> None:
    healthy = logged.rows(world.neutron)
    rule = f'external_ids:neutron\\:security_group_rule_id="{world.rule}"'
    world.neutron.ovn.nbctl("set", "ACL", world.acl(world.group, condition=rule), words)
    assert logged.rows(world.neutron) != healthy, "the damage did nothing"
    which = {"log": everything, "security_group": world.group}.get(kind, world.rule)
    assert COLUMNS[words] in world.apply(kind, which)
    assert logged.rows(world.neutron) == healthy


@pytest.mark.parametrize("kind", ["log", "security_group"])
@pytest.mark.parametrize("words", [*list(COLUMNS)[:4], "action=allow"])
def test_damaged_acl_of_what_a_group_drops_is_noticed_by_name_and_healed(
    world: World, everything: str, kind: str, words: str
) -> None:
    healthy = logged.rows(world.neutron)
    world.neutron.ovn.nbctl("set", "ACL", world.acl(world.group, 1001), words)
    assert logged.rows(world.neutron) != healthy, "the damage did nothing"
    noticed = world.apply(kind, everything if kind == "log" else world.group)
    assert COLUMNS.get(words, "ACL action") in noticed
    assert logged.rows(world.neutron) == healthy


@pytest.mark.parametrize("kind", ["log", "security_group"])
def test_lost_acl_comes_back_and_a_second_copy_goes(
    world: World, everything: str, kind: str
) -> None:
    healthy = logged.rows(world.neutron)
    which = everything if kind == "log" else world.group
    group = f"pg_{world.group}".replace("-", "_")
    match = f"outport == @{group} && ip"
    nbctl = world.neutron.ovn.nbctl
    nbctl("--type=port-group", "acl-del", group, "to-lport", "1001", match)
    assert "ACL" in world.apply(kind, which)
    assert logged.rows(world.neutron) == healthy
    row = ("direction=to-lport", "priority=1001", f"match={_quoted(match)}", "action=drop")
    nbctl(
        *("--", "--id=@acl", "create", "ACL", *row, "--"),
        *("add", "Port_Group", group, "acls", "@acl"),
    )
    assert "ACL copies" in world.apply(kind, which)
    assert logged.rows(world.neutron) == healthy


@pytest.mark.parametrize("words", list(COLUMNS))
def test_damaged_acl_of_the_drop_group_is_noticed_by_name_and_healed(
    world: World, everything: str, words: str
) -> None:
    healthy = logged.rows(world.neutron)
    world.neutron.ovn.nbctl("set", "ACL", world.acl(DROP_GROUP, 1000), words)
    assert logged.rows(world.neutron) != healthy, "the damage did nothing"
    assert COLUMNS[words] in world.apply("log", everything)
    assert logged.rows(world.neutron) == healthy


def test_lost_drop_group_is_logged_again_by_the_port_that_needs_it(
    world: World, everything: str
) -> None:
    healthy = logged.rows(world.neutron)
    world.neutron.ovn.nbctl("pg-del", DROP_GROUP)
    world.apply("port", world.port)
    assert logged.rows(world.neutron) == healthy


METERS = {
    "Meter unit": ("set", "Meter", "{}", "unit=kbps"),
    "Meter fair": ("set", "Meter", "{}", "fair=false"),
    "Meter rate": ("set", "Meter_Band", "{band}", "rate=7"),
    "Meter burst_size": ("set", "Meter_Band", "{band}", "burst_size=7"),
    "Meter external_ids:neutron:device_owner": ("clear", "Meter", "{}", "external_ids"),
    "Meter": ("meter-del", "{}"),
}


@pytest.mark.parametrize("name", ["acl_log_meter", "acl_log_meter_stateless"])
@pytest.mark.parametrize("noticed", METERS)
def test_damaged_meter_is_noticed_by_name_and_healed(
    world: World, everything: str, name: str, noticed: str
) -> None:
    healthy = logged.rows(world.neutron)
    nbctl = world.neutron.ovn.nbctl
    band = nbctl("--bare", "--columns=bands", "find", "Meter", f"name={name}").strip()
    nbctl(*(word.format(name, band=band) for word in METERS[noticed]))
    assert logged.rows(world.neutron) != healthy, "the damage did nothing"
    assert noticed in world.apply("log", everything)
    assert logged.rows(world.neutron) == healthy


def test_acl_that_names_a_log_object_that_is_gone_names_none(world: World, everything: str) -> None:
    healthy = logged.rows(world.neutron)
    gone = ("log=true", "name=neutron-11111111-1111-1111-1111-111111111111")
    acl = world.acl(world.other, condition="direction=from-lport")
    world.neutron.ovn.nbctl("set", "ACL", acl, *gone)
    assert "ACL log" in world.apply("log", everything)
    assert logged.rows(world.neutron) == healthy


def test_log_object_waits_for_its_groups(world: World, everything: str) -> None:
    world.neutron.ovn.nbctl("pg-del", f"pg_{world.group}".replace("-", "_"))
    with pytest.raises(errors.MissingReference) as missing:
        world.conductor.apply("log", everything)
    wanted = ("security_group", world.group)
    assert (missing.value.resource_type, missing.value.resource_id) == wanted
    assert "Port_Group" in world.apply("security_group", world.group)
    world.apply("log", everything)
    assert set(logged.names(world.neutron, world.group)) == {everything}
    assert logged.names(world.neutron, world.group, 1001) == [everything] * 2
    world.apply("port", world.port)
