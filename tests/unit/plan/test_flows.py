# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""From a workflow to a flow: who is called when, and what is written between two calls."""

import dataclasses
import gc
import json
import weakref

import pytest

from networking_workflow.drivers import binding
from networking_workflow.engine import kept
from networking_workflow.model import bindings, errors, states, tasks, workflows
from networking_workflow.plan import flows
from tests.unit.conductor.drivers import MemoryDriver

CLAIM = workflows.Claim(
    id="w",
    lane="default",
    resource_type="port",
    resource_id="p",
    operation=states.Operation.CREATE,
    project_id="",
    operation_id="",
    request_id="",
    initiator=states.Initiator.API,
    snapshot=None,
    keys={},
    gen=1,
    attempts=0,
    owner="c",
    fence=1,
)


def started(*names):
    return [
        tasks.StartedTask(
            id=f"task-{name}", name=name, driver=name, state=states.TaskState.PENDING, attempts=1
        )
        for name in names
    ]


class Recorder:
    """Writes down what is journalled and called, in order; is both record and caller."""

    def __init__(self, errors_by_name=None, stop_before=None, lost_at="nowhere"):
        self.lines = []
        self.errors = errors_by_name or {}
        self.stop_before, self.lost_at = stop_before, lost_at
        self.checks = 0

    def step(self, claim, finished, *, next_task_id, applied=None):
        if next_task_id == self.lost_at:
            raise errors.LeaseLost(claim.id)
        ended = f"{finished.id} {finished.state}" if finished else "-"
        self.lines.append(f"write {ended} {dict(applied or {})} next {next_task_id}")

    def check(self):
        self.checks += 1
        if self.checks == self.stop_before:
            raise errors.WorkflowError("stop")

    def call(self, one):
        self.lines.append(f"call {one.name}")
        error = self.errors.get(one.name)
        state = states.TaskState.FAILED if error else states.TaskState.SUCCESS
        applied = None if error else {"by": one.name}
        return flows.Outcome(task=one, state=state, error=error, applied=applied)


def run(recorder, *names, engines=None):
    todo = started(*names)
    log = flows.StepLog(recorder.step, CLAIM, todo[0])
    work = flows.work(CLAIM, todo, log, recorder)
    try:
        (engines or kept.KeptEngines(flows.build)).run(work.started, work)
    finally:
        recorder.log = log
    return log


def test_drivers_in_the_configured_order_and_reversed_for_port_deletes():
    a, b = MemoryDriver("a"), MemoryDriver("b")
    create, delete = states.Operation.CREATE, states.Operation.DELETE
    assert flows.drivers_for([a, b], "port", create) == [a, b]
    assert flows.drivers_for([a, b], "port", delete) == [b, a]
    assert flows.drivers_for([a, b], "network", delete) == [a, b]


def test_a_driver_that_does_not_handle_it_has_no_task():
    assert flows.drivers_for([MemoryDriver()], "address_group", states.Operation.CREATE) == []


def test_a_binding_has_a_task_only_where_a_call_left_one_for_its_driver():
    create, delete = states.Operation.CREATE, states.Operation.DELETE
    port, binds = MemoryDriver("fabric"), binding.BindingDriver("fabric", None, None)
    level = bindings.Level(driver="fabric", segments=[{"id": "s"}])
    left = bindings.Deferral(host="h", vnic_type="normal", profile="", levels=(level,))

    def called(snapshot, operation=create):
        return flows.drivers_for([binds, port], "port", operation, snapshot)

    def snapshot(deferral):
        return json.loads(json.dumps({"edge": {bindings.EDGE: deferral.to_json()}}))

    assert called(snapshot(left)) == [binds, port]
    assert called(snapshot(left), delete) == [port]
    assert called({"edge": {}}) == called({"edge": None}) == called(None) == [port]
    other = dataclasses.replace(left, levels=(dataclasses.replace(level, driver="other"),))
    assert called(snapshot(other)) == [port]


def test_positions_are_the_order_of_the_calls():
    planned = flows.planned([MemoryDriver("b"), MemoryDriver("a")])
    assert [(one.name, one.position) for one in planned] == [("b", 0), ("a", 1)]


def test_one_transaction_between_two_calls_and_none_after_the_last():
    recorder = Recorder()
    log = run(recorder, "a", "b", "c")
    assert recorder.lines == [
        "call a",
        "write task-a SUCCESS {'a': {'by': 'a'}} next task-b",
        "call b",
        "write task-b SUCCESS {'b': {'by': 'b'}} next task-c",
        "call c",
    ]
    assert log.unwritten.task.name == "c"
    log.flush()
    log.flush()
    assert recorder.lines[5:] == ["write task-c SUCCESS {'c': {'by': 'c'}} next None"]


def test_a_failing_driver_neither_stops_nor_undoes_the_others():
    refused = errors.PermanentFailure("no")
    log = run(Recorder({"b": refused}), "a", "b", "c")
    assert [one.state for one in log.outcomes] == ["SUCCESS", "FAILED", "SUCCESS"]
    assert log.outcomes[1].error is refused


def test_what_ends_the_run_reaches_the_caller_and_no_driver_is_called_after_it():
    recorder = Recorder(stop_before=2)
    with pytest.raises(errors.WorkflowError, match="stop"):
        run(recorder, "a", "b", "c")
    assert recorder.lines == ["call a"]
    assert recorder.log.unwritten.task.name == "a"


def test_a_lost_lease_between_two_tasks_stops_before_the_next_call():
    recorder = Recorder(lost_at="task-b")
    with pytest.raises(errors.LeaseLost):
        run(recorder, "a", "b")
    assert recorder.lines == ["call a"]


def test_a_kept_engine_runs_other_workflows_and_knows_nothing_of_those_before():
    engines = kept.KeptEngines(flows.build)
    refused = errors.PermanentFailure("no")
    failed = run(Recorder({"a": refused}), "a", "b", engines=engines)
    assert [one.state for one in failed.outcomes] == ["FAILED", "SUCCESS"]
    for names in (("b",), ("a", "b"), ("b", "a"), ("a", "b")):
        recorder = Recorder()
        log = run(recorder, *names, engines=engines)
        assert [one.task.name for one in log.outcomes] == list(names)
        assert {one.state for one in log.outcomes} == {"SUCCESS"}
        calls = [line for line in recorder.lines if line.startswith("call")]
        assert calls == [f"call {name}" for name in names]


def test_after_a_run_that_was_ended_the_next_one_calls_every_driver():
    engines = kept.KeptEngines(flows.build)
    with pytest.raises(errors.LeaseLost):
        run(Recorder(lost_at="task-b"), "a", "b", engines=engines)
    recorder = Recorder()
    run(recorder, "a", "b", engines=engines)
    assert [line for line in recorder.lines if line.startswith("call")] == ["call a", "call b"]


def test_an_engine_is_built_once_for_workflows_with_the_same_tasks():
    built = []

    def build(names, present):
        built.append(names)
        return flows.build(names, present)

    engines = kept.KeptEngines(build)
    for names in (("a",), ("a",), ("a", "b"), ("a",), ("a", "b")):
        run(Recorder(), *names, engines=engines)
    assert built == [("a",), ("a", "b")]


def test_a_thread_keeps_a_bounded_number_of_engines():
    alive = weakref.WeakSet()

    def build(names, present):
        flow = flows.build(names, present)
        alive.add(flow)
        return flow

    engines = kept.KeptEngines(build)
    for number in range(3 * kept.MOST):
        run(Recorder(), f"driver-{number}", engines=engines)
        gc.collect()
        assert len(alive) <= kept.MOST


def test_a_kept_engine_keeps_nothing_of_the_work_that_it_did():
    engines = kept.KeptEngines(flows.build)
    recorder = Recorder()
    gone = weakref.ref(recorder)
    run(recorder, "a", engines=engines)
    del recorder
    gc.collect()
    assert gone() is None
