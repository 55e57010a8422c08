# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Plugins whose backend work is not covered are refused by name."""

import pytest

from networking_workflow.capture import plugin, refusals
from networking_workflow.model import errors

COVERED = {"service_plugins": (), "extension_drivers": (), "mechanism_drivers": ()}


def refuse(**configured):
    refusals.refuse_uncovered(**{**COVERED, **configured})


def test_what_programs_no_backend_is_accepted():
    refuse(
        service_plugins=[
            "revisions",
            "tag",
            "neutron.services.timestamp.timestamp_plugin.TimeStampPlugin",
        ],
        extension_drivers=["port_security", "dns"],
        mechanism_drivers=["ovn", "fabric", "logger"],
    )


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("service_plugins", "ovn-router"),
        ("service_plugins", "trunk"),
        ("service_plugins", "neutron.services.qos.qos_plugin.QoSPlugin"),
        ("service_plugins", "some.third.party.Plugin"),
        ("extension_drivers", "qos"),
        ("mechanism_drivers", "openvswitch"),
        ("mechanism_drivers", "l2population"),
    ],
)
def test_uncovered_plugin_is_refused_by_name(option, name):
    with pytest.raises(errors.ConfigurationError, match=f"'{name}'"):
        refuse(**{option: [name]})


def test_every_uncovered_name_is_told_at_once():
    with pytest.raises(errors.ConfigurationError) as raised:
        refuse(service_plugins=["trunk", "tag", "qos"], mechanism_drivers=["openvswitch"])
    text = str(raised.value)
    assert "'trunk'" in text and "'qos'" in text and "'openvswitch'" in text
    assert "'tag'" not in text
    assert "core_plugin = ml2" in text


def test_refused_start_ends_with_the_error_in_words(capsys):
    with pytest.raises(SystemExit) as raised:
        plugin.exit_on_error(lambda: refuse(service_plugins=["trunk"]))
    assert raised.value.code == plugin.EXIT_REFUSED
    assert "'trunk'" in capsys.readouterr().err
