# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Merging, folding and ordering of one transaction's notes."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from networking_workflow.capture import changes, classes
from networking_workflow.model.states import Operation

C, U, D = Operation.CREATE, Operation.UPDATE, Operation.DELETE


def note(operation, resource_type="port", resource_id="p", **values):
    return changes.Note(
        resource_type=resource_type, resource_id=resource_id, operation=operation, **values
    )


def merged(*operations):
    result = changes.merge([note(operation) for operation in operations])
    return result["port", "p"].operation if result else None


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        ((C, U), C),
        ((U, C), C),
        ((U, U), U),
        ((U, D), D),
        ((D, U), D),
        ((D, C), U),
        ((C, D), None),
        ((C, U, D), None),
        ((U, C, D), None),
        ((C, D, U), None),
        ((C, D, C), C),
        ((D, C, D), D),
    ],
)
def test_what_several_changes_of_one_transaction_amount_to(operations, expected):
    assert merged(*operations) == expected


def test_old_and_new_references_are_kept():
    result = changes.merge(
        [
            note(U, references=frozenset({("subnet", "old")})),
            note(U, references=frozenset({("subnet", "new")}), standard_attr_id=7),
        ]
    )
    assert result["port", "p"].references == {("subnet", "old"), ("subnet", "new")}
    assert result["port", "p"].standard_attr_id == 7


def test_rule_made_with_its_group_is_part_of_the_group():
    group = note(C, "security_group", "g")
    rule = note(
        C,
        "security_group_rule",
        "r",
        parent=("security_group", "g"),
        references=frozenset(
            {("security_group", "g"), ("security_group", "other"), ("acl", "g/0")}
        ),
    )
    folded = changes.fold(changes.merge([rule, group]))
    assert list(folded) == [("security_group", "g")]
    assert folded["security_group", "g"].references == {
        ("security_group", "g"),
        ("security_group", "other"),
    }


@pytest.mark.parametrize(("group", "rule"), [(U, C), (U, D), (D, U), (C, D)])
def test_rule_stands_for_itself_unless_both_are_made_or_deleted(group, rule):
    notes = [
        note(group, "security_group", "g"),
        note(rule, "security_group_rule", "r", parent=("security_group", "g")),
    ]
    assert len(changes.fold(changes.merge(notes))) == 2


def test_rule_of_another_group_is_not_folded_into_the_deleted_one():
    notes = [
        note(D, "security_group", "g"),
        note(D, "security_group_rule", "r", parent=("security_group", "other")),
    ]
    assert len(changes.fold(changes.merge(notes))) == 2


def test_creates_go_parents_first_and_deletes_children_first_after_them():
    operations = itertools.product((C, D), reversed(classes.COVERED))
    notes = [note(operation, kind, operation + kind) for operation, kind in operations]
    ordered = [(n.operation, n.resource_type) for n in changes.in_apply_order(notes)]
    assert ordered == [(C, kind) for kind in classes.COVERED] + [
        (D, kind) for kind in reversed(classes.COVERED)
    ]


NOTES = st.lists(
    st.builds(
        note,
        st.sampled_from([C, U, D]),
        st.sampled_from(classes.COVERED),
        st.sampled_from("abc"),
        references=st.frozensets(st.tuples(st.just("network"), st.sampled_from("xyz"))),
    ),
    max_size=12,
)


@given(NOTES)
def test_merging_keeps_every_resource_that_is_not_made_and_deleted(notes):
    result = changes.merge(notes)
    for name in {(n.resource_type, n.resource_id) for n in notes}:
        operations = {n.operation for n in notes if (n.resource_type, n.resource_id) == name}
        if not {C, D} <= operations:
            assert name in result
    assert all((n.resource_type, n.resource_id) == name for name, n in result.items())


@given(NOTES)
def test_apply_order_does_not_depend_on_the_order_of_notes(notes):
    ordered = changes.in_apply_order(changes.merge(notes).values())
    backwards = list(reversed(changes.merge(notes).values()))
    assert changes.in_apply_order(backwards) == ordered
