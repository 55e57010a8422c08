# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What groups log follows log objects, rules and ports, in whatever order they are applied."""

import collections.abc
import dataclasses

import pytest
from neutron.services.logapi import logging_plugin

from lab import ovn as lab_ovn
from lab.databases import pool
from lab.neutron import config as lab_config
from networking_workflow.drivers.ovn import facts_logs
from networking_workflow.drivers.ovn.apply import logs as apply_logs
from networking_workflow.model import errors
from tests.functional.ovn import cloud, logged

DROP_GROUP = "neutron_pg_drop"


class Neutron(cloud.Neutron):
    """Capturing, with logging."""

    def profile(self) -> lab_config.Profile:
        return dataclasses.replace(super().profile(), service_plugins=("log",), tenants=True)


class World:
    """Two groups, a port in the first of them, and a conductor that works when it is told."""

    def __init__(self, neutron: Neutron, conductor: cloud.Conductor) -> None:
        self.neutron, self.conductor = neutron, conductor
        self.group, self.other = (
            neutron.create("security_group", name=name)["id"] for name in ("a", "b")
        )
        self.network = neutron.create("network")["id"]
        self.port = self.new_port()
        conductor.drain()
        self.silent = self.rows()

    def new_port(self) -> str:
        made = self.neutron.create("port", network_id=self.network, security_groups=[self.group])
        return str(made["id"])

    def log(self, **values: str) -> str:
        return logged.make(self.neutron, **values)

    def rule(self, port: int, group: str = "") -> str:
        return logged.rule(self.neutron, group or self.group, port)

    def rows(self) -> list[logged.Made]:
        return logged.rows(self.neutron)

    def names(self, group: str = "", priority: int = 1002) -> set[str]:
        return set(logged.names(self.neutron, group or self.group, priority))


@pytest.fixture(scope="module")
def running(database_pool: pool.Pool, ovn: lab_ovn.OvnCentral) -> collections.abc.Iterator[World]:
    with cloud.driven(Neutron, cloud.Conductor, database_pool, ovn) as (neutron, conductor):
        yield World(neutron, conductor)


@pytest.fixture
def world(running: World) -> collections.abc.Iterator[World]:
    """A cloud in which nothing logs; after the test there is no log object, and nothing does."""
    rules = {one["id"] for one in _rules(running)}
    yield running
    for log in running.neutron.call("GET", "log/logs")["logs"]:
        logged.remove(running.neutron, log["id"])
    for one in _rules(running):
        if one["id"] not in rules:
            running.neutron.delete("security_group_rule", one["id"])
    running.conductor.drain()
    assert running.rows() == running.silent


def _rules(world: World) -> list[logged.Made]:
    found: list[logged.Made] = world.neutron.call("GET", "security-group-rules")[
        "security_group_rules"
    ]
    return found


def test_no_call_of_the_api_reaches_ovn_and_each_workflow_does(world: World) -> None:
    log = world.log(event="ALL", resource_id=world.group)
    world.rule(1)
    assert world.rows() == world.silent
    assert world.conductor.drain() == [("create", "log"), ("create", "security_group_rule")]
    assert world.names() == {log}
    assert world.names(priority=1001) == {log}

    for enabled in (False, True):
        before = world.rows()
        logged.enable(world.neutron, log, enabled)
        assert world.rows() == before
        assert world.conductor.drain() == [("update", "log")]
        assert world.names() == ({log} if enabled else {""})

    before = world.rows()
    logged.remove(world.neutron, log)
    assert world.rows() == before
    assert world.conductor.drain() == [("delete", "log")]
    assert world.names() == {""}
    world.conductor.apply("log", log, "delete")


def test_log_object_that_is_made_disabled_logs_once_it_is_enabled(world: World) -> None:
    log = logged.make(world.neutron, event="ALL", resource_id=world.group, enabled=False)
    world.conductor.drain()
    assert world.rows() == world.silent
    logged.enable(world.neutron, log, True)
    world.conductor.drain()
    assert world.names() == {log}
    meters = [one["name"] for one in world.rows() if "unit" in one]
    assert meters == ["acl_log_meter", "acl_log_meter_stateless"]


@pytest.mark.parametrize("about", ["group", "port", "all"])
def test_rule_that_is_added_to_a_logged_group_is_logged_by_its_own_workflow(
    world: World, about: str
) -> None:
    what = {"group": {"resource_id": world.group}, "port": {"target_id": world.port}}
    log = world.log(event="ACCEPT", **what.get(about, {}))
    world.conductor.drain()
    world.rule(2)
    assert world.conductor.drain() == [("create", "security_group_rule")]
    assert world.names() == {log}


def test_group_that_is_made_under_a_log_object_for_everything_is_logged(world: World) -> None:
    log = world.log(event="ALL")
    world.conductor.drain()
    group = world.neutron.create("security_group", name="late")["id"]
    world.conductor.drain()
    assert world.names(group) == {log}
    assert world.names(DROP_GROUP, 1000) == {log}
    world.neutron.delete("security_group", group)
    world.conductor.drain()


def test_group_that_becomes_stateless_is_logged_by_the_meter_for_those(world: World) -> None:
    world.log(event="ACCEPT", resource_id=world.other)
    world.conductor.drain()
    for stateful, meter in ((False, "acl_log_meter_stateless"), (True, "acl_log_meter")):
        world.neutron.update("security_group", world.other, stateful=stateful)
        world.conductor.drain()
        assert {one["meter"] for one in world.rows() if one.get("log")} == {meter}


@pytest.mark.parametrize("reverse", [False, True])
def test_log_object_deleted_while_its_groups_change_is_queued_leaves_nothing(
    world: World, reverse: bool
) -> None:
    log = world.log(event="ALL", resource_id=world.group)
    world.conductor.drain()
    world.rule(3)
    world.neutron.update("security_group", world.group, name=f"changed {reverse}")
    logged.remove(world.neutron, log)
    queued = world.conductor.waiting()
    assert len(queued) == 3
    for row in reversed(queued) if reverse else queued:
        world.conductor.run(row)
    assert world.names() == {""}
    assert world.names(priority=1001) == set()


@pytest.mark.parametrize("change", ["delete", "create"])
def test_log_object_that_changes_between_a_rules_read_and_its_write_wins(
    world: World, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """The log object's own workflow is over before the rule's ACL is there."""
    log = world.log(event="ALL", resource_id=world.group) if change == "delete" else ""
    world.conductor.drain()
    world.rule(4)
    (rule,) = world.conductor.waiting()
    stock, made = facts_logs.read, []

    def read(context: object) -> facts_logs.Logs | None:
        before = stock(context)
        monkeypatch.setattr(facts_logs, "read", stock)
        if log:
            logged.remove(world.neutron, log)
        else:
            made.append(world.log(event="ALL", resource_id=world.group))
        (row,) = [one for one in world.conductor.waiting() if one.id != rule.id]
        world.conductor.run(row)
        return before

    monkeypatch.setattr(facts_logs, "read", read)
    world.conductor.run(rule)
    assert facts_logs.read is stock, "nothing was read"
    assert world.names() == ({""} if log else set(made))


def test_port_that_changes_its_groups_takes_its_log_object_along(world: World) -> None:
    log = world.log(event="ALL", target_id=world.port)
    world.conductor.drain()
    assert (world.names(), world.names(world.other)) == ({log}, {""})
    world.neutron.update("port", world.port, security_groups=[world.other])
    world.conductor.drain()
    assert (world.names(), world.names(world.other)) == ({""}, {log})
    assert world.names(priority=1001) == set()
    assert world.names(world.other, 1001) == {log}

    world.neutron.update("port", world.port, security_groups=[world.group])
    world.conductor.drain()
    assert (world.names(), world.names(world.other)) == ({log}, {""})


def test_port_whose_first_attempt_ended_half_way_takes_its_log_object_along(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = world.log(event="ALL", target_id=world.port)
    world.conductor.drain()
    world.neutron.update("port", world.port, security_groups=[world.other])

    def end(*_: object) -> None:
        raise errors.TransientFailure("the conductor is gone")

    with monkeypatch.context() as patched:
        patched.setattr(apply_logs, "follow_port", end)
        with pytest.raises(errors.TransientFailure):
            world.conductor.drain()
    assert world.names() == {log}
    world.conductor.drain()
    assert (world.names(), world.names(world.other)) == ({""}, {log})
    world.neutron.update("port", world.port, security_groups=[world.group])
    world.conductor.drain()


def test_deleted_port_takes_its_log_object_with_it(world: World) -> None:
    port = world.new_port()
    log = world.log(event="DROP", target_id=port)
    world.conductor.drain()
    assert world.names(priority=1001) == {log}
    world.neutron.delete("port", port)
    assert world.conductor.drain() == [("delete", "port"), ("delete", "log")]
    assert world.rows() == world.silent


def test_deleted_port_whose_log_object_stayed_behind_is_logged_no_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its API process was killed between the two."""
    port = world.new_port()
    log = world.log(event="DROP", target_id=port)
    world.conductor.drain()
    assert world.names(priority=1001) == {log}
    with monkeypatch.context() as patched:
        patched.setattr(logging_plugin.LoggingPlugin, "_clean_logs", lambda *_args, **_more: None)
        world.neutron.delete("port", port)
    assert world.conductor.drain() == [("delete", "port")]
    assert world.names(priority=1001) == set()


@pytest.mark.parametrize("reverse", [False, True])
def test_deleted_group_takes_its_log_object_with_it(world: World, reverse: bool) -> None:
    group = world.neutron.create("security_group", name="short")["id"]
    world.log(event="ALL", resource_id=group)
    world.conductor.drain()
    assert world.rows() != world.silent
    world.neutron.delete("security_group", group)
    queued = world.conductor.waiting()
    assert [one.resource_type for one in queued] == ["security_group", "log"]
    for row in reversed(queued) if reverse else queued:
        world.conductor.run(row)
    assert world.rows() == world.silent


def test_drop_group_that_a_port_makes_is_logged(world: World) -> None:
    log = world.log(event="DROP")
    world.conductor.drain()
    world.neutron.ovn.nbctl("pg-del", DROP_GROUP)
    world.conductor.apply("port", world.port)
    assert world.names(DROP_GROUP, 1000) == {log}


def test_drop_group_is_logged_from_the_start(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An attempt that ends then leaves a group that no other one looks at."""
    log = world.log(event="DROP")
    world.conductor.drain()
    world.neutron.ovn.nbctl("pg-del", DROP_GROUP)

    def end(*_: object) -> None:
        raise errors.TransientFailure("the conductor is gone")

    with monkeypatch.context() as patched:
        patched.setattr(apply_logs, "log_drops", end)
        with pytest.raises(errors.TransientFailure):
            world.conductor.apply("port", world.port)
    world.conductor.apply("port", world.port)
    assert world.names(DROP_GROUP, 1000) == {log}


def test_without_a_log_object_nothing_is_written_twice(world: World) -> None:
    for kind, which in (("security_group", world.group), ("port", world.port)):
        world.conductor.apply(kind, which)
    assert world.rows() == world.silent
