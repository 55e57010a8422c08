# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""How ``Prefer`` is read, and what bounds a wait."""

import hypothesis
import pytest
import sqlalchemy as sa
import webob
from hypothesis import strategies as st

from networking_workflow.api import prefer
from networking_workflow.capture import restore
from networking_workflow.journal.outcomes import Outcome
from networking_workflow.model.states import WorkflowState


@pytest.mark.parametrize(
    ("header", "wait_s", "respond_async"),
    [
        ("", None, False),
        ("wait=10", 10.0, False),
        ("respond-async, wait=10", 10.0, True),
        ("Respond-Async,WAIT = 5", 5.0, True),
        ('wait="7"', 7.0, False),
        ("wait=7; x=y", 7.0, False),
        ("wait=1, wait=100", 1.0, False),
        ("wait=, respond-async", None, True),
        ("wait=1.5", None, False),
        ("wait=99999999999999", None, False),
        ("return=minimal", None, False),
    ],
)
def test_preferences_are_read_as_rfc_7240_writes_them(header, wait_s, respond_async):
    read = prefer.parse(header)
    assert (read.wait_s, read.respond_async) == (wait_s, respond_async)


@hypothesis.given(st.text(max_size=60))
def test_whatever_the_header_is_it_is_read(header):
    wait_s = prefer.parse(header).wait_s
    assert wait_s is None or wait_s >= 0


def outcome(state):
    return Outcome(
        asked_id="w",
        workflow_id="another",
        resource_type="port",
        resource_id="p",
        state=state,
        failure=None,
    )


def answered(look, *, max_wait_s=0.02, **wanted):
    waiting = prefer.Waiting(look, max_wait_s=max_wait_s, most=1)
    response = webob.Response(status=201, json_body={})
    preferences = prefer.Preferences(**wanted)
    return waiting.answer(response, ["w"], preferences, "/v2.0/workflows/w", undone)


def undone():
    return restore.Restored(done=True, workflow_ids=("u",))


def test_nobody_waits_longer_than_the_operator_allows():
    answer = answered(lambda ids: [outcome(WorkflowState.RUNNING)], wait_s=1000.0)
    assert answer.headers[prefer.WAIT] == "timed-out"
    assert answer.headers["Preference-Applied"] == "wait=0.02"


def test_a_database_that_is_away_ends_the_wait_only_when_the_time_is_over(caplog):
    looks = []

    def look(ids):
        looks.append(ids)
        if len(looks) < 3:
            raise sa.exc.OperationalError("SELECT", {}, OSError("gone"))
        return [outcome(WorkflowState.SUCCESS)]

    assert answered(look, max_wait_s=60.0, wait_s=60.0).headers[prefer.WAIT] == "done"

    def away(ids):
        raise sa.exc.TimeoutError("no connection is free")

    caplog.clear()
    answer = answered(away, wait_s=1.0)
    assert (answer.status_int, answer.headers[prefer.WAIT]) == (201, "timed-out")
    assert len(caplog.records) == 1  # said once, however often it was looked


@pytest.mark.parametrize(
    ("state", "restored"), [("CANCELLED", False), ("SKIPPED", False), ("FAILED", True)]
)
def test_an_end_that_is_not_what_was_asked_for_is_a_502_with_a_reason(state, restored):
    answer = answered(lambda ids: [outcome(WorkflowState(state))], wait_s=1.0)
    assert answer.status_int == 502
    assert answer.json["workflow"]["workflow_state"] == state
    assert answer.json["workflow"]["id"] == "w"  # its successor may be of another project
    assert answer.json["NeutronError"]["message"].startswith("port p: ")
    assert answer.json["restored"] is restored
    assert bool(answer.json["not_restored_because"]) is not restored
