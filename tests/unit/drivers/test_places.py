# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Which places a port has left."""

import json
import typing

import pytest

from networking_workflow.drivers import contexts, places

LINKS = {"local_link_information": [{"switch_info": "leaf", "port_id": "eth1"}]}


def at(host: str, profile: typing.Any = "", vif_type: str = "other") -> contexts.Port:
    binding = {"host": host, "vnic_type": "baremetal", "profile": profile, "vif_type": vif_type}
    levels = [{"segment_id": "s1"}] if vif_type == "other" else []
    current = {"id": "p1", "device_owner": ""}
    return contexts.Port(current=current, places=[contexts.Place(binding=binding, levels=levels)])


@pytest.mark.parametrize(
    "before",
    [
        at("one", LINKS),
        at("one", json.dumps(LINKS)),
        at("one", LINKS | {"trusted": True}),
        at("two", LINKS, vif_type="unbound"),
    ],
    ids=["as a dict", "as text", "shown as trusted", "not bound"],
)
def test_port_that_is_where_it_was_has_left_nothing(before: contexts.Port) -> None:
    assert places.left([before], at("one", json.dumps(LINKS))) == []


@pytest.mark.parametrize("broken", ["{", "nonsense", "null"])
def test_profile_that_cannot_be_read_is_an_empty_one(broken: str) -> None:
    assert places.left([at("one", broken)], at("one")) == []
    assert places.left([at("one", broken)], at("one", LINKS)) != []


def test_places_that_were_left_are_given_once_each_in_their_order() -> None:
    left = [at("one", LINKS), at("two", LINKS), at("one", json.dumps(LINKS)), at("three")]
    assert places.left(left, at("three")) == left[:2]
