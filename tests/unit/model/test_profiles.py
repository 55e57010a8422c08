# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Binding profiles, whoever wrote them, and the switch ports that they name."""

import json
import typing

import pytest

from networking_workflow.model import profiles


def at(**link: str) -> frozenset[str]:
    return profiles.links({"local_link_information": [link]})


def test_a_switch_port_is_known_by_either_name_of_its_switch() -> None:
    both = at(switch_id="00:00:5E:00:53:01", switch_info="leaf", port_id="eth1")
    assert len(both) == 2
    assert at(switch_id="00:00:5e:00:53:01", port_id="eth1") < both
    assert at(switch_info="leaf", port_id="eth1") < both
    assert not both & at(switch_info="leaf", port_id="eth2")


def test_a_profile_says_as_text_what_it_says_as_a_dict() -> None:
    profile = {"local_link_information": [{"switch_info": "leaf", "port_id": "eth1"}], "slot": 1}
    assert profiles.parsed(json.dumps(profile)) == profiles.parsed(profile) == profile
    assert profiles.links(json.dumps(profile)) == profiles.links(profile) != frozenset()


@pytest.mark.parametrize(
    "profile",
    [
        *(None, "", "{}", {}, {"local_link_information": None}, "local_link_information"),
        *({"local_link_information": ["eth1", {"port_id": "eth1"}, 3]}, [], {"vlan": 1}),
        *('{"local_link_information": [', '["local_link_information"]'),
    ],
    ids=repr,
)
def test_a_profile_without_a_switch_names_none(profile: object) -> None:
    assert profiles.links(profile) == frozenset()


@pytest.mark.parametrize("broken", ["", "{", "null", "[1]", "nonsense", None])
def test_what_is_no_profile_says_nothing_as_for_ml2(broken: typing.Any) -> None:
    assert profiles.parsed(broken) == {}
