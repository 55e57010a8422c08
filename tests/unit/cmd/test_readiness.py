# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What ``neutron-workflow-status check`` concludes from what it finds."""

import dataclasses
import datetime
import typing

import pytest

from networking_workflow.cmd.readiness import Direction, Facts, answers
from networking_workflow.journal import readiness
from networking_workflow.model.modes import Mode

NOON = datetime.datetime(2026, 5, 4, 12, 0, tzinfo=datetime.UTC).replace(tzinfo=None)
NOBODY = readiness.Conductors(by_host={}, since=None)
MADE = readiness.Unrecorded(made={"networks": 2, "ports": 1}, last=NOON, deleted=0)

#: A cloud that has gone over and is well.
WELL = Facts(
    core_plugin="ml2_workflow",
    separate=True,
    conductors=readiness.Conductors(by_host={"ctl1": 2, "ctl2": 1}, since=NOON),
    backlog={},
    apart=0,
    unrecorded=readiness.Unrecorded(made={}, last=None, deleted=0),
    since=NOON,
    clock_s=0.1,
)

OVER, BACK = Direction.OVER, Direction.BACK


def said(direction: Direction, facts: Facts) -> dict[str, tuple[str, str]]:
    """Return result and words of what is no success, by check."""
    found = answers(direction, facts)
    assert all(answer.details for answer in found)
    return {one.check: (one.code.name, one.details) for one in found if one.code}


@pytest.mark.parametrize("direction", list(Direction))
def test_a_cloud_that_is_well_may_stay_and_go(direction: Direction) -> None:
    assert said(direction, WELL) == {}


def test_a_cloud_of_stock_with_conductors_to_come_may_go_over() -> None:
    facts = dataclasses.replace(WELL, core_plugin="ml2", separate=False, conductors=NOBODY)
    assert said(OVER, facts) == {}


@pytest.mark.parametrize(
    ("direction", "different", "check", "result", "words"),
    [
        (OVER, {"core_plugin": "ml2"}, "Core plugin", "WARNING", "2 on ctl1, 1 on ctl2"),
        (OVER, {"core_plugin": ""}, "Core plugin", "FAILURE", "(not set)"),
        (OVER, {"core_plugin": "other"}, "Core plugin", "FAILURE", "core_plugin = other"),
        (OVER, {"conductors": NOBODY}, "Conductors", "WARNING", "every change would stay PENDING"),
        (
            *(OVER, {"conductors": NOBODY, "backlog": {"READY": 3}}),
            *("Conductors", "FAILURE", "3 workflows (3 READY) wait for one"),
        ),
        (
            *(OVER, {"conductors": NOBODY, "backlog": {"READY": 1}, "separate": False}),
            *("Conductors", "FAILURE", "Start neutron-api with core_plugin = ml2_workflow, or"),
        ),
        (
            *(OVER, {"backlog": {"RETRYING": 1, "HELD": 2, "RUNNING": 4}}),
            *("Queue", "WARNING", "3 workflows (2 HELD, 1 RETRYING) wait for a backend"),
        ),
        (OVER, {"backlog": {"FAILED": 1}}, "Queue", "WARNING", "1 workflow (1 FAILED): change"),
        (
            *(OVER, {"unrecorded": MADE}),
            *("Changes without a workflow", "FAILURE", "UTC (2 in networks, 1 in ports), the last"),
        ),
        (
            *(OVER, {"unrecorded": dataclasses.replace(WELL.unrecorded, deleted=5)}),
            *("Changes without a workflow", "WARNING", "5 resources"),
        ),
        (OVER, {"clock_s": -3.26}, "Clocks", "WARNING", "-3.3 s from the database server's"),
        (BACK, {"backlog": {"READY": 2}}, "Queue", "FAILURE", "ask again when they are done"),
        (
            *(BACK, {"backlog": {"WAITING": 2}, "conductors": NOBODY}),
            *("Queue", "FAILURE", "start neutron-workflow-conductor"),
        ),
        (BACK, {"backlog": {"FAILED": 2}}, "Failed workflows", "FAILURE", "2 workflows (2 FAILED)"),
        (BACK, {"apart": 7}, "Resources", "WARNING", "7 show ERROR or DRIFTED"),
        (
            *(OVER, {"mode": Mode.SHADOW, "backlog": {"FAILED": 1}}),
            *("Queue", "WARNING", "1 workflow (1 FAILED): stock has left the backend with"),
        ),
        (
            *(BACK, {"mode": Mode.SHADOW, "backlog": {"FAILED": 2}}),
            *("Failed workflows", "WARNING", "so much of what stock has left in the backends"),
        ),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(
    direction: Direction,
    different: dict[str, typing.Any],
    check: str,
    result: str,
    words: str,
) -> None:
    found = said(direction, dataclasses.replace(WELL, **different))
    assert list(found) == [check]
    assert found[check][0] == result
    assert words in found[check][1]


def test_nothing_is_looked_for_where_nobody_records() -> None:
    assert said(OVER, dataclasses.replace(WELL, unrecorded=MADE, conductors=NOBODY)).keys() == {
        "Conductors"
    }


def test_what_a_shadow_has_compared_need_not_be_drained() -> None:
    facts = dataclasses.replace(WELL, mode=Mode.SHADOW, apart=2)
    assert said(BACK, facts) == {}


def test_who_turned_to_shadow_with_a_queue_is_not_waved_through() -> None:
    facts = dataclasses.replace(WELL, mode=Mode.SHADOW, backlog={"RETRYING": 3})
    (answer,) = said(BACK, facts).values()
    assert answer[0] == "WARNING"
    assert "3 workflows (3 RETRYING): not compared yet" in answer[1]
    assert "set mode = drive again and drain the queue" in answer[1]


def test_who_only_looks_is_told_that_stock_works() -> None:
    core_plugin, *_ = answers(OVER, dataclasses.replace(WELL, mode=Mode.SHADOW))
    assert "stock makes the backends follow" in core_plugin.details


def test_the_way_back_says_who_is_to_be_stopped_first() -> None:
    assert "Stop the conductors (2 on ctl1, 1 on ctl2)" in answers(BACK, WELL)[0].details
