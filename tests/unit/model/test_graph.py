# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What ``driver_graph`` declares of the drivers, and what it cannot."""

import pytest

from networking_workflow.model import errors, graph

DRIVERS = ("ovn", "fabric", "switch", "logger")


def lanes(*statements, drivers=DRIVERS):
    return {lane.name: lane.drivers for lane in graph.parse(statements, drivers).lanes}


def test_without_a_word_all_drivers_are_one_lane_in_the_order_of_ml2():
    assert lanes() == {"default": DRIVERS}
    assert graph.parse([], DRIVERS) == graph.single(DRIVERS)


def test_an_independent_driver_has_a_lane_of_its_own():
    assert lanes("switch independent") == {
        "default": ("ovn", "fabric", "logger"),
        "switch": ("switch",),
    }


def test_who_is_after_another_is_behind_it_in_its_lane():
    assert lanes("ovn after fabric")["default"] == ("fabric", "ovn", "switch", "logger")
    assert lanes("fabric independent", "logger after fabric") == {
        "default": ("ovn", "switch"),
        "fabric": ("fabric", "logger"),
    }
    declared = graph.parse(["logger after fabric ovn"], DRIVERS)
    assert declared.after == {"logger": frozenset({"fabric", "ovn"})}


def test_the_default_lane_is_there_without_drivers_too():
    assert lanes("ovn independent", drivers=("ovn",)) == {"default": (), "ovn": ("ovn",)}


def test_who_waits_for_another_waits_for_those_before_it_too():
    """The one in between may have nothing to do for a resource."""
    declared = graph.parse(["fabric after ovn", "logger after fabric"], DRIVERS)
    assert declared.after == {
        "fabric": frozenset({"ovn"}),
        "logger": frozenset({"fabric", "ovn"}),
    }


def test_edges_can_be_turned_round():
    assert graph.turned({"b": frozenset({"a"}), "c": frozenset({"a", "b"})}) == {
        "a": frozenset({"b", "c"}),
        "b": frozenset({"c"}),
    }


@pytest.mark.parametrize(
    ("statements", "words"),
    [
        (["ovn before fabric"], "it must be '<driver> after <driver> [<driver> ...]' or"),
        (["ovn after"], "it must be"),
        (["independent"], "it must be"),
        (["ovm independent"], "ovm is not among the mechanism drivers, ovn, fabric, switch"),
        (["fabric after ovm"], "ovm is not among the mechanism drivers"),
        (["ovn after ovn"], "it names a driver twice"),
        (["ovn after fabric", "fabric after ovn"], "cannot wait for each other"),
        (
            ["ovn after fabric", "fabric after switch", "switch after ovn"],
            "cannot wait for each other",
        ),
        (["fabric after ovn", "fabric independent"], "it is declared to be after others, too"),
        (
            ["ovn independent", "fabric independent", "logger after ovn fabric"],
            "these are independent of each other",
        ),
    ],
)
def test_what_is_no_graph_is_refused_in_words_that_name_it(statements, words):
    with pytest.raises(errors.ConfigurationError) as refused:
        graph.parse(statements, DRIVERS)
    assert str(refused.value).startswith("[workflow] driver_graph: ")
    assert words in str(refused.value)


def test_a_name_that_fits_no_column_of_the_journal_gets_no_lane():
    long = "a" * 33
    with pytest.raises(errors.ConfigurationError, match="at most 32 characters"):
        graph.parse([f"{long} independent"], [long])
