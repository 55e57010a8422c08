# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What is promised of ports whose binding is left to a task."""

import collections.abc
import threading
import typing

import pytest
from neutron_lib import constants
from neutron_lib.callbacks import events, registry, resources
from oslo_db import exception as db_exceptions

from networking_workflow.capture import session, workflows
from networking_workflow.journal import journal
from networking_workflow.model import errors, graph, retry
from tests.functional.binding import switches
from tests.functional.binding.switches import Told
from tests.functional.binding.world import World
from tests.functional.capture import inprocess, undoing
from tests.waiting import wait_until

ONCE_BOUND = [
    Told("create", "one", "unbound", None, None),
    Told("update", "one", "other", "unbound", "one"),
]


@pytest.fixture
def slow(world: World) -> switches.Slow:
    """How the deferred switch binds: when it is let go."""
    world.slow.bind = how = switches.Slow()
    return how


@pytest.fixture
def two_lanes() -> collections.abc.Iterator[graph.DriverGraph]:
    """The deferred switch has a lane of its own."""
    kinds = frozenset({"network", "subnet", "port"})
    lanes = (
        workflows.Lane(name="default", drivers={"early": kinds, "late": kinds}),
        workflows.Lane(name="slow", drivers={"slow": kinds}),
    )
    session.install(session.CaptureSettings(lanes=lanes))
    yield graph.parse(["slow independent"], ["early", "slow", "late"])
    session.install(session.CaptureSettings())


def being_bound(world: World, slow: switches.Slow) -> typing.Any:
    """Make a port; return it when the slow driver has been asked to bind it."""
    port = world.port()
    world.start()
    assert slow.inside.wait(switches.PATIENCE_S)
    return port


def test_a_port_is_answered_unbound_and_pending_and_bound_when_the_task_ran(
    world: World, slow: switches.Slow
) -> None:
    port = world.port()
    assert port["binding:vif_type"] == "unbound"
    assert port["sync_state"] == "PENDING"
    assert world.slow.asked == []
    world.start()
    assert slow.inside.wait(switches.PATIENCE_S)
    assert world.vif(port) == ("unbound", "one", "PENDING")
    slow.go.set()
    assert world.settles(port) == "SYNCED"
    assert world.vif(port)[:2] == ("other", "one")
    assert world.neutron.show("port", port["id"])["binding:vif_details"]["of"] == "one"
    assert world.tasks(port)[0] == ("binding-slow", "SUCCESS")


def test_every_driver_is_told_of_the_bound_port_once_with_what_it_was_before(world: World) -> None:
    world.slow.bind = switches.accept
    port = world.port()
    world.start()
    world.settles(port)
    assert [switch.told[port["id"]] for switch in world.switches] == [ONCE_BOUND] * 3
    world.stop()
    world.neutron.update("port", port["id"], **{"binding:host_id": "two"})
    world.start()
    world.settles(port)
    moved = [
        Told("update", "two", "unbound", "other", "one"),
        Told("update", "two", "other", "unbound", "two"),
    ]
    assert [switch.told[port["id"]][2:] for switch in world.switches] == [moved] * 3


def test_an_independent_driver_binds_in_its_lane_and_the_others_hear_of_it(
    world: World, two_lanes: graph.DriverGraph
) -> None:
    world.slow.bind = switches.accept
    port = world.port()
    world.start(graph=two_lanes)
    assert world.settles(port) == "SYNCED"
    assert world.vif(port)[:2] == ("other", "one")
    assert world.slow.told[port["id"]] == ONCE_BOUND
    for switch in (world.early, world.late):
        hosts = {(told.host, told.vif_type) for told in switch.told[port["id"]]}
        assert hosts <= {("one", "unbound"), ("one", "other")}
        assert switch.told[port["id"]][-1].vif_type == "other"
    assert [switch.hosts_asked(port["id"]) for switch in world.switches] == [["one"], ["one"], []]
    binding = {row.lane for row in world.workflows(port) if row.id in world.of_task("binding-slow")}
    assert binding == {"slow"}


def test_no_driver_is_asked_twice_the_later_ones_only_if_the_deferred_one_refuses(
    world: World,
) -> None:
    world.late.bind = switches.accept
    port = world.port()
    assert world.early.hosts_asked(port["id"]) == ["one"]
    world.neutron.update("port", port["id"], name="renamed")
    queued = len(world.workflows(port))
    world.neutron.plugin.get_bound_port_context(world.neutron.context(), port["id"], "one")
    assert len(world.workflows(port)) == queued
    assert [switch.hosts_asked(port["id"]) for switch in world.switches] == [["one"], [], []]
    world.start()
    assert world.settles(port) == "SYNCED"
    assert [switch.hosts_asked(port["id"]) for switch in world.switches] == [["one"]] * 3
    assert world.vif(port)[0] == "other"
    other = world.port()
    world.slow.bind = switches.accept
    world.settles(other)


def test_ports_made_in_one_call_are_bound_each_by_its_task(world: World) -> None:
    world.slow.bind = switches.accept
    bodies = [{"network_id": world.network, "binding:host_id": host} for host in ("one", "two")]
    ports = world.neutron.create_bulk("port", bodies)
    assert {port["binding:vif_type"] for port in ports} == {"unbound"}
    world.start()
    assert [world.settles(port) for port in ports] == ["SYNCED"] * 2
    assert [world.vif(port)[:2] for port in ports] == [("other", "one"), ("other", "two")]


def test_a_port_that_an_earlier_driver_binds_is_bound_in_the_call(world: World) -> None:
    world.early.bind = switches.accept
    port = world.port()
    assert port["binding:vif_type"] == "other"
    world.start()
    assert world.settles(port) == "SYNCED"
    assert [driver for driver, _ in world.tasks(port)] == ["early", "slow", "late"]
    assert world.slow.asked == []


def test_nothing_is_deferred_unless_an_operator_says_so(world: World) -> None:
    world.neutron.plugin.deferred_binding = frozenset()
    world.slow.bind = switches.accept
    port = world.port()
    assert port["binding:vif_type"] == "other"
    assert world.slow.hosts_asked(port["id"]) == ["one"]


def test_a_port_without_a_host_has_no_binding_to_wait_for(world: World) -> None:
    port = world.port(host="")
    world.start()
    assert world.settles(port) == "SYNCED"
    assert [driver for driver, _ in world.tasks(port)] == ["early", "slow", "late"]


def test_a_port_rebound_while_its_binding_is_queued_is_bound_to_its_last_host(world: World) -> None:
    world.slow.bind = switches.accept
    port = world.port()
    world.neutron.update("port", port["id"], **{"binding:host_id": "two"})
    world.start()
    assert world.settles(port) == "SYNCED"
    assert world.vif(port)[:2] == ("other", "two")
    assert world.slow.hosts_asked(port["id"]) == ["two"]
    assert {told.host for told in world.late.told[port["id"]]} == {"two"}


def test_a_port_rebound_while_it_is_being_bound_ends_at_its_last_host(
    world: World, slow: switches.Slow
) -> None:
    port = being_bound(world, slow)
    said = world.neutron.update("port", port["id"], **{"binding:host_id": "two"})
    assert said["binding:vif_type"] == "unbound"
    slow.go.set()
    assert world.settles(port) == "SYNCED"
    assert world.vif(port)[:2] == ("other", "two")
    assert [told for told in world.late.told[port["id"]] if told.vif_type == "other"] == [
        Told("update", "two", "other", "unbound", "two")
    ]


def test_a_port_unbound_while_it_is_being_bound_stays_unbound(
    world: World, slow: switches.Slow
) -> None:
    port = being_bound(world, slow)
    world.neutron.update("port", port["id"], **{"binding:host_id": ""})
    slow.go.set()
    assert world.settles(port) == "SYNCED"
    assert world.vif(port)[:2] == ("unbound", "")
    assert {told.vif_type for told in world.late.told[port["id"]]} == {"unbound"}


def test_a_port_renamed_while_it_is_being_bound_in_vain_says_so(world: World) -> None:
    world.slow.bind = gate = switches.Gate()  # and refuses then
    port = world.port()
    world.start()
    assert gate.inside.wait(switches.PATIENCE_S)
    world.neutron.update("port", port["id"], name="renamed")
    gate.go.set()
    assert world.settles(port) == "ERROR"
    assert world.vif(port)[0] == "binding_failed"
    # Once for the port, and once since it was changed after that.
    asked = [switch.hosts_asked(port["id"]) for switch in world.switches]
    assert asked == [["one"], ["one"] * 2, ["one"] * 2]


def test_a_port_that_comes_back_when_its_first_answer_has_been_thrown_away_is_bound(
    world: World, slow: switches.Slow
) -> None:
    world.late.hear = gate = switches.Gate()
    port = being_bound(world, slow)
    world.neutron.update("port", port["id"], **{"binding:host_id": "two"})
    slow.go.set()
    assert gate.inside.wait(switches.PATIENCE_S)  # past the binding, for a host that it has left
    said = world.neutron.update("port", port["id"], **{"binding:host_id": "one"})
    assert said["binding:vif_type"] == "unbound"
    gate.go.set()
    assert world.settles(port) == "SYNCED"
    assert world.vif(port)[:2] == ("other", "one")
    assert world.early.hosts_asked(port["id"]) == ["one", "two"]


def test_what_another_lane_has_still_to_do_keeps_no_port_from_being_bound_again(
    world: World, two_lanes: graph.DriverGraph
) -> None:
    world.late.trouble = [errors.TransientFailure("busy")] * 1000
    port = world.port()
    often = retry.RetryPolicy(attempts=1000, first_delay_s=0.05, max_delay_s=0.05)
    world.start(graph=two_lanes, retry=often)

    def refused() -> bool:
        states = {(row.lane, row.state) for row in world.workflows(port)}
        return ("slow", "FAILED") in states and ("default", "RETRYING") in states

    wait_until(refused, 60, "the binding to fail, and the other lane to try again")
    assert world.vif(port)[0] == "binding_failed"
    world.slow.bind = switches.accept
    said = world.neutron.update("port", port["id"], name="again")
    assert said["binding:vif_type"] == "unbound"
    world.late.trouble.clear()
    assert world.settles(port) == "SYNCED"
    assert world.vif(port)[0] == "other"


def test_a_call_that_finds_its_port_bound_by_a_task_tells_the_agent_of_its_own_change(
    world: World, slow: switches.Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = being_bound(world, slow)
    call, bound = threading.current_thread(), threading.Event()

    def between_commit_and_binding(*_: typing.Any, payload: events.DBEventPayload) -> None:
        if threading.current_thread() is call:
            slow.go.set()
            bound.wait(switches.PATIENCE_S)
        elif payload.latest_state["binding:vif_type"] == "other":
            bound.set()

    told: list[typing.Any] = []
    monkeypatch.setattr(
        world.neutron.plugin.notifier,
        "port_update",
        lambda *_: told.append(threading.current_thread()),
    )
    registry.subscribe(between_commit_and_binding, resources.PORT, events.AFTER_UPDATE)
    try:
        said = world.neutron.update("port", port["id"], admin_state_up=False)
    finally:
        registry.unsubscribe(between_commit_and_binding, resources.PORT, events.AFTER_UPDATE)
    assert bound.is_set()
    assert said["binding:vif_type"] == "other"
    assert told.count(call) == 1
    assert world.settles(port) == "SYNCED"
    assert world.slow.hosts_asked(port["id"]) == ["one"]


def test_a_deadlock_at_the_commit_of_a_binding_asks_no_driver_again(world: World) -> None:
    world.slow.bind = switches.accept
    world.early.rivals = [db_exceptions.DBDeadlock()]
    port = world.port()
    world.start()
    assert world.settles(port) == "SYNCED"
    assert world.early.rivals == []
    assert bound_by(world, port) == ["slow"]
    assert world.slow.hosts_asked(port["id"]) == ["one"]
    assert world.failures(port) == []


def test_making_a_port_looks_for_no_binding_that_is_on_its_way(world: World) -> None:
    with inprocess.statements(reader=True) as seen:
        world.port()
    assert not [one.text for one in seen if "FROM workflow_workflows" in one.text]
    with inprocess.statements(reader=True) as seen:
        world.neutron.update("port", world.port()["id"], name="x")
    assert [one.text for one in seen if "FROM workflow_workflows" in one.text]


@pytest.mark.parametrize("vif_type", ["other", "binding_failed", "unbound"])
def test_a_call_whose_port_was_bound_where_it_was_is_undone_if_a_later_driver_fails(
    world: World, vif_type: str
) -> None:
    world.slow.bind = switches.accept if vif_type == "other" else switches.refuse
    port = world.port()
    world.start()
    world.settles(port)
    if vif_type == "unbound":  # as an API process leaves it that dies before it asks
        world.unbind(port)
    assert world.vif(port)[0] == vif_type
    change = {"binding:profile": {"switch": "a"}}
    before = undoing.rows(world.neutron.engine)
    world.slow.bind = switches.accept
    world.late.trouble = [errors.PermanentFailure("no")] * 100
    call = undoing.Call(world.neutron, lambda: world.neutron.update("port", port["id"], **change))
    assert world.settles(port) == "ERROR"
    assert world.vif(port)[0] == "other"
    world.stop()
    restored = call.undo()
    assert restored.done, restored.why_not
    changed = undoing.differences(before, undoing.rows(world.neutron.engine))
    assert [row for row in changed if port["id"] in row] == []


def test_a_port_that_a_call_moved_in_vain_is_bound_where_it_was_to_be_bound_before(
    world: World, slow: switches.Slow
) -> None:
    port = being_bound(world, slow)
    move = {"binding:host_id": "two"}
    call = undoing.Call(world.neutron, lambda: world.neutron.update("port", port["id"], **move))
    world.slow.bind = switches.refuse
    slow.go.set()
    assert world.settles(port) == "ERROR"
    assert world.vif(port)[:2] == ("binding_failed", "two")
    world.slow.bind = switches.accept
    restored = call.undo()
    assert restored.done, restored.why_not
    assert world.settles(port) == "SYNCED"
    assert world.vif(port)[:2] == ("other", "one")
    assert {row.id for row in world.workflows(port)} >= set(restored.workflow_ids)
    assert len(restored.workflow_ids) == 2


@pytest.mark.parametrize("asked", [False, True], ids=["queued", "running"])
def test_a_port_deleted_while_its_binding_is_under_way_is_gone(
    world: World, slow: switches.Slow, asked: bool
) -> None:
    port = world.port()
    if asked:
        world.start()
        assert slow.inside.wait(switches.PATIENCE_S)
    world.neutron.delete("port", port["id"])
    slow.go.set()
    world.start()
    assert world.settles(port) == "gone"
    assert world.slow.hosts_asked(port["id"]) == (["one"] if asked else [])
    bound = [told for told in world.late.told.get(port["id"], []) if told.vif_type == "other"]
    assert bound == []
    assert {row.state for row in world.workflows(port)} <= {"SUCCESS", "SUPERSEDED"}


def test_a_port_that_nobody_binds_says_so_as_in_stock_and_a_later_call_tries_again(
    world: World,
) -> None:
    port = world.port()
    world.start()
    assert world.settles(port) == "ERROR"
    assert world.vif(port)[0] == "binding_failed"
    (failure,) = world.failures(port)
    assert (failure.driver, failure.failure_code) == ("binding-slow", "BACKEND_REFUSED")
    assert "one" in failure.failure_detail
    assert [told.vif_type for told in world.late.told[port["id"]]] == ["unbound", "binding_failed"]
    assert [switch.hosts_asked(port["id"]) for switch in world.switches] == [["one"]] * 3

    world.slow.bind = switches.accept
    said = world.neutron.update("port", port["id"], name="again")
    assert said["binding:vif_type"] == "unbound"
    assert world.settles(port) == "SYNCED"
    assert world.vif(port)[0] == "other"


def test_a_refused_binding_is_not_asked_for_again_since_another_driver_fails(world: World) -> None:
    world.late.trouble = [errors.TransientFailure("busy")]
    port = world.port()
    world.start()
    assert world.settles(port) == "ERROR"
    assert [switch.hosts_asked(port["id"]) for switch in world.switches] == [["one"]] * 3
    assert ("late", "SUCCESS") in world.tasks(port)


def test_an_operators_retry_of_a_failed_binding_asks_the_deferred_driver_again(
    world: World,
) -> None:
    port = world.port()
    world.start()
    assert world.settles(port) == "ERROR"
    world.slow.bind = switches.accept
    (failed,) = [row.id for row in world.workflows(port) if row.state == "FAILED"]
    journal.Journal(world.engine).retry(failed)
    assert world.settles(port) == "SYNCED"
    assert world.vif(port)[0] == "other"
    assert world.early.hosts_asked(port["id"]) == ["one"]


def test_a_bind_port_that_raises_is_tried_again_and_the_others_are_not_kept_waiting(
    world: World,
) -> None:
    world.slow.bind = switches.Failing(RuntimeError("no"), errors.TransientFailure("busy"))
    port = world.port()
    world.start()
    assert world.settles(port) == "SYNCED"
    assert world.vif(port)[0] == "other"
    asked = [len(switch.hosts_asked(port["id"])) for switch in world.switches]
    assert asked == [1, 3, 0]
    assert [switch.told[port["id"]] for switch in world.switches] == [ONCE_BOUND] * 3


def test_a_bind_port_that_raises_until_attempts_are_spent_has_failed(world: World) -> None:
    world.slow.bind = switches.Failing(*[RuntimeError("the secret of a switch")] * 3)
    port = world.port()
    world.start()
    assert world.settles(port) == "ERROR"
    assert world.vif(port)[0] == "binding_failed"
    (failure,) = world.failures(port)
    assert failure.failure_code == "DRIVER_ERROR"
    assert world.late.hosts_asked(port["id"]) == []
    assert [told.vif_type for told in world.late.told[port["id"]]] == ["unbound"]


def test_hardware_that_is_away_spends_no_attempt_and_holds_up_no_other_driver(world: World) -> None:
    away = {"is": True}

    def bind(context: typing.Any) -> None:
        if away["is"]:
            raise ConnectionRefusedError("no switch")
        switches.accept(context)

    world.slow.bind = bind
    ports = [world.port() for _ in range(2)]
    world.start(probe_s=0.2)
    for port in ports:
        wait_until(lambda port=port: world.late.told.get(port["id"]), 60, "the others to be told")
    away["is"] = False
    for port in ports:
        assert world.settles(port) == "SYNCED"
        assert world.late.told[port["id"]] == ONCE_BOUND


def test_a_task_finishes_what_was_deferred_before_an_operator_changed_the_option(
    world: World,
) -> None:
    world.slow.bind = switches.accept
    port = world.port()
    world.neutron.plugin.deferred_binding = frozenset()
    world.start()
    assert world.settles(port) == "SYNCED"
    assert world.vif(port)[0] == "other"


# -- several levels, several deferred drivers ------------------------------------------------------


def to_the_next_level(context: typing.Any) -> None:
    """Bind the first level, and offer a VLAN to the drivers of the next."""
    if context.segments_to_bind[0]["network_type"] == "vlan":
        return
    wanted = {"network_type": "vlan", "physical_network": "physnet1"}
    vlan = context.allocate_dynamic_segment(wanted)
    context.continue_binding(context.segments_to_bind[0]["id"], [vlan])


def bound_by(world: World, port: typing.Any) -> list[str]:
    details = world.neutron.show("port", port["id"])["binding:vif_details"]
    levels: dict[str, str] = details["bound_drivers"]
    return [levels[level] for level in sorted(levels)]


def test_a_deferred_driver_of_a_lower_level_is_asked_below_who_bound_the_upper_one(
    world: World,
) -> None:
    world.early.bind, world.slow.bind = to_the_next_level, switches.accept
    port = world.port()
    assert port["binding:vif_type"] == "unbound"
    world.start()
    assert world.settles(port) == "SYNCED"
    assert bound_by(world, port) == ["early", "slow"]
    # Once at each level, as in stock.
    assert world.early.hosts_asked(port["id"]) == ["one", "one"]


def test_when_no_driver_binds_the_lower_level_the_upper_one_is_offered_to_the_next(
    world: World,
) -> None:
    world.early.bind = to_the_next_level
    offered = []

    def bind(context: typing.Any) -> None:
        offered.append(context.segments_to_bind[0]["network_type"])
        if offered[-1] == "geneve":
            switches.accept(context)

    world.late.bind = bind
    port = world.port()
    world.start()
    assert world.settles(port) == "SYNCED"
    assert bound_by(world, port) == ["late"]
    assert offered == ["vlan", "geneve"]
    assert world.slow.hosts_asked(port["id"]) == ["one", "one"]


def test_two_deferred_drivers_have_a_task_each_and_one_between_them_is_asked_once(
    world: World,
) -> None:
    world.neutron.plugin.deferred_binding = frozenset({"early", "late"})
    world.late.bind = switches.Failing(errors.TransientFailure("busy"))
    port = world.port()
    world.start()
    assert world.settles(port) == "SYNCED"
    assert bound_by(world, port) == ["late"]
    assert [len(switch.hosts_asked(port["id"])) for switch in world.switches] == [1, 1, 2]
    assert {driver for driver, _ in world.tasks(port)} >= {"binding-early", "binding-late"}


# -- what is not deferred --------------------------------------------------------------------------


def test_an_inactive_binding_is_answered_by_the_call_that_asks_for_it(world: World) -> None:
    world.slow.bind = switches.accept
    port = world.port(device_owner="compute:x")
    world.start()
    world.settles(port)
    body = {"binding": {"host": "two"}}
    said = world.neutron.call("POST", f"ports/{port['id']}/bindings", body)["binding"]
    assert (said["vif_type"], said["status"]) == ("other", constants.INACTIVE)
    world.neutron.call("PUT", f"ports/{port['id']}/bindings/two/activate")
    assert world.settles(port) == "SYNCED"
    assert world.vif(port)[:2] == ("other", "two")
    assert world.slow.hosts_asked(port["id"]) == ["one", "two"]


def test_an_interface_of_a_distributed_router_is_bound_as_in_stock(world: World) -> None:
    world.slow.bind = switches.accept
    owner = "network:router_interface_distributed"
    port = world.port(host="", device_owner=owner)
    body = {"port": {"binding:host_id": "one", "device_id": "router"}}
    world.neutron.plugin.update_distributed_port_binding(world.neutron.context(), port["id"], body)
    assert world.slow.hosts_asked(port["id"]) == ["one"]
