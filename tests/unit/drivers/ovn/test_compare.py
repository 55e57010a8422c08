# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Expected against found rows."""

from networking_workflow.drivers.ovn import compare

ROW = compare.Row(
    table="T",
    name="n",
    columns={
        "text": "a",
        "set": frozenset({"x", "y"}),
        "map": compare.Keys(wanted={"k": "v"}, unwanted=frozenset({"old"})),
        "closed": compare.Keys(wanted={"k": "v"}, closed=True, foreign=frozenset({"theirs"})),
    },
)
EQUAL = {
    "text": "a",
    "set": frozenset({"y", "x"}),
    "map": {"k": "v", "theirs": "1"},
    "closed": {"k": "v", "theirs": "1"},
}


def found(**changes: object) -> list[str]:
    there = {("T", "n"): {**EQUAL, **changes}}
    return [str(one) for one in compare.differences([ROW], there)]


def test_equal_rows_do_not_differ() -> None:
    assert found() == []


def test_differences_say_column_found_and_expected() -> None:
    assert found(text="b") == ["T n: text is 'b', expected 'a'"]
    assert found(set=frozenset({"x"})) == ["T n: set is {x}, expected {x, y}"]
    assert found(map={}) == ["T n: map:k is absent, expected 'v'"]


def test_keys_of_ours_that_must_not_be_there_are_noticed() -> None:
    assert found(map={"k": "v", "old": "1"}) == ["T n: map:old is '1', expected absent"]


def test_closed_map_allows_foreign_keys_only() -> None:
    assert found(closed={"k": "v", "theirs": "1", "more": "2"}) == [
        "T n: closed:more is '2', expected absent"
    ]


def test_missing_row_is_one_difference() -> None:
    (one,) = compare.differences([ROW], {("T", "n"): None})
    assert one.missing
    assert str(one) == "T n is not there"


def test_row_that_must_be_absent() -> None:
    row = compare.Row(table="T", name="n", columns={}, absent=True)
    assert compare.differences([row], {("T", "n"): None}) == ()
    (one,) = compare.differences([row], {("T", "n"): {}})
    assert str(one) == "T n is still there"


def test_optional_row_counts_once_it_is_there() -> None:
    row = compare.Row(table="T", name="n", columns={"text": "a"}, optional=True)
    assert compare.differences([row], {("T", "n"): None}) == ()
    assert len(compare.differences([row], {("T", "n"): {"text": "b"}})) == 1


def test_loose_values() -> None:
    assert compare.AnyMac() == "fa:16:3e:00:00:01"
    assert compare.AnyMac() != "fa:16:3e"
    assert compare.OneOf(frozenset({"a", "b"})) == "b"
    assert compare.OneOf(frozenset({"a", "b"})) != "c"
    assert compare.Words(frozenset({"a", "b"})) == "b a"
    assert compare.Words(frozenset()) == ""
    assert compare.Including("a") == "b,a"
    assert compare.Including("a") != "ab"
