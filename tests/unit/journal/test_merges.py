# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What several changes of one resource are together."""

import pytest

from networking_workflow.model.states import Operation
from networking_workflow.model.workflows import merge_operations, merge_snapshots

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


def test_what_ml2_knew_of_the_original_is_of_the_same_moment_as_the_original():
    def moved(since, to):
        return {
            "original": {"host": since},
            "edge": {"original_binding_levels": [since], "binding_levels": [to]},
        }

    merged = merge_snapshots(moved("a", "b"), moved("b", "c"))
    assert merged["original"] == {"host": "a"}
    assert merged["edge"] == {"original_binding_levels": ["a"], "binding_levels": ["c"]}


def test_a_change_that_knew_of_no_original_leaves_what_the_later_one_knew():
    later = {"original": {"host": "a"}, "edge": {"original_vif_type": "unbound"}}
    assert merge_snapshots({"edge": {"deferred": "x"}}, later)["edge"] == {
        "deferred": "x",
        "original_vif_type": "unbound",
    }
