# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What several changes of one resource are together."""

import functools
from collections.abc import Mapping
from typing import Any

import pytest

from networking_workflow.model.states import Operation
from networking_workflow.model.workflows import PASSED, merge_operations, merge_snapshots

CREATE, UPDATE, DELETE = Operation.CREATE, Operation.UPDATE, Operation.DELETE


@pytest.mark.parametrize(
    ("earlier", "later", "together"),
    [
        (CREATE, UPDATE, CREATE),
        (UPDATE, UPDATE, UPDATE),
        (CREATE, DELETE, DELETE),
        (UPDATE, DELETE, DELETE),
        (DELETE, CREATE, UPDATE),
        (DELETE, DELETE, DELETE),
    ],
)
def test_operations(earlier: Operation, later: Operation, together: Operation) -> None:
    assert merge_operations(earlier, later) is together


def test_snapshots_keep_the_oldest_original_and_the_latest_of_the_rest() -> None:
    first = {"version": 1, "original": {"name": "a"}, "deleted": None, "edge": {"x": 1, "y": 1}}
    second = {"version": 1, "original": {"name": "b"}, "deleted": {"id": "p"}, "edge": {"y": 2}}
    assert merge_snapshots(first, second) == {
        "version": 1,
        "original": {"name": "a"},
        "deleted": {"id": "p"},
        "edge": {"x": 1, "y": 2},
    }


def left(host: str, name: str = "a") -> dict[str, Any]:
    """Return the snapshot of a change of a port that was bound there."""
    return {
        "version": 1,
        "original": {"name": name, "binding:host_id": host},
        "deleted": None,
        "edge": {
            "original_binding": {"host": host},
            "original_binding_levels": [{"host": host}],
            "binding": {"host": "elsewhere"},
        },
    }


def test_what_tells_of_the_original_is_of_the_same_state() -> None:
    merged = merge_snapshots(left("one"), left("two"))
    assert merged is not None
    assert merged["original"]["binding:host_id"] == "one"
    assert merged["edge"]["original_binding"] == {"host": "one"}
    assert merged["edge"]["original_binding_levels"] == [{"host": "one"}]


@pytest.mark.parametrize("first_two", [True, False], ids=["first two", "last two"])
def test_places_on_the_way_are_kept_each_once_whatever_is_merged_first(first_two: bool) -> None:
    changes = [left("one"), left("one", name="b"), left("two"), left("three"), left("two")]
    deleted = {"version": 1, "original": None, "deleted": {"id": "p"}, "edge": {"network": {}}}
    merged: Mapping[str, Any] | None
    if first_two:
        merged = functools.reduce(merge_snapshots, [*changes, deleted])
    else:
        merged = functools.reduce(
            lambda later, one: merge_snapshots(one, later), [deleted, *changes[::-1]]
        )
    assert merged is not None
    assert merged["original"]["name"] == "a"
    assert merged["deleted"] == {"id": "p"}
    passed = merged["edge"][PASSED]
    assert [one["original"]["binding:host_id"] for one in passed] == ["two", "three"]
    assert passed[0] == {
        "original": {"name": "a", "binding:host_id": "two"},
        "original_binding": {"host": "two"},
        "original_binding_levels": [{"host": "two"}],
    }


def test_a_change_without_a_snapshot_adds_nothing() -> None:
    snapshot = {"version": 1, "original": None, "deleted": None, "edge": {}}
    assert merge_snapshots(None, snapshot) == merge_snapshots(snapshot, None) == snapshot
    assert merge_snapshots(None, None) is None


def test_a_binding_that_was_left_to_a_task_hides_no_original_of_a_later_change() -> None:
    left = {"version": 1, "original": None, "deleted": None, "edge": {"deferred_binding": {}}}
    change = {"version": 1, "original": {"name": "a"}, "deleted": None, "edge": {"x": 1}}
    for one, other in ((left, change), (change, left)):
        assert merge_snapshots(one, other) == {
            "version": 1,
            "original": {"name": "a"},
            "deleted": None,
            "edge": {"deferred_binding": {}, "x": 1},
        }
