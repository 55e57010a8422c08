# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Plugins whose backend work is not covered are refused by name."""

import importlib.metadata
import pathlib
import re

import pytest
from neutron_lib.plugins.ml2 import api

from networking_workflow.capture import plugin, refusals
from networking_workflow.model import errors
from tests.unit.upstream import RELEASE

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


def test_what_becomes_workflows_is_accepted():
    refuse(
        service_plugins=[
            "ovn-router",
            "port_forwarding",
            "neutron.services.qos.qos_plugin.QoSPlugin",
        ],
        extension_drivers=["qos"],
    )


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("service_plugins", "router"),
        ("service_plugins", "local_ip"),
        ("service_plugins", "neutron.services.ndp_proxy.plugin.NDPProxyPlugin"),
        ("service_plugins", "some.third.party.Plugin"),
        ("extension_drivers", "testdb"),
        ("mechanism_drivers", "macvtap"),
        ("mechanism_drivers", "ovn-sync"),
    ],
)
def test_uncovered_plugin_is_refused_by_name(option, name):
    with pytest.raises(errors.ConfigurationError, match=f"'{name}'"):
        refuse(**{option: [name]})


def test_every_uncovered_name_is_told_at_once():
    with pytest.raises(errors.ConfigurationError) as raised:
        refuse(service_plugins=["local_ip", "tag", "metering"], mechanism_drivers=["macvtap"])
    text = str(raised.value)
    assert "'local_ip'" in text and "'metering'" in text and "'macvtap'" in text
    assert "'tag'" not in text
    assert "core_plugin = ml2" in text


def test_refused_start_ends_with_the_error_in_words(capsys):
    with pytest.raises(SystemExit) as raised:
        plugin.exit_on_error(lambda: refuse(service_plugins=["local_ip"]))
    assert raised.value.code == plugin.EXIT_REFUSED
    assert "'local_ip'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["openvswitch", "sriovnicswitch"])
def test_driver_for_agents_has_no_hook_after_a_commit(name):
    """Neutron tells the agents: if a release moves that to a hook, it is a task, and looked at."""
    (entry,) = importlib.metadata.entry_points(group="neutron.ml2.mechanism_drivers", name=name)
    driver = entry.load()
    hooks = [hook for hook in dir(api.MechanismDriver) if hook.endswith("_postcommit")]
    assert len(hooks) == 9
    assert [h for h in hooks if getattr(driver, h) is not getattr(api.MechanismDriver, h)] == []
    refuse(mechanism_drivers=[name])


def test_trunk_driver_of_another_backend_is_refused_by_name():
    refusals.refuse_trunk_drivers(["ovn"])
    with pytest.raises(errors.ConfigurationError, match="trunk driver genericswitch"):
        refusals.refuse_trunk_drivers(["ovn", "genericswitch"])


#: Release of Neutron -> service plugins that came with it.
SINCE = {29: {"evpn", "pvlan"}}


def listed(heading):
    """Return the service plugins in the table of ``docs/support.md`` below a heading."""
    page = pathlib.Path(__file__).parents[3] / "docs" / "support.md"
    section = page.read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    return set(re.findall(r"^\| `([\w-]+)` \|", section, re.MULTILINE))


def test_every_service_plugin_of_neutron_is_documented_as_covered_or_refused():
    neutron = importlib.metadata.distribution("neutron").entry_points
    names = {entry.name for entry in neutron.select(group="neutron.service_plugins")}
    names |= {name for since, later in SINCE.items() for name in later if since > RELEASE}
    assert listed("Covered") == refusals.SERVICE_PLUGINS
    assert listed("Refused") == names - refusals.SERVICE_PLUGINS


def test_every_refused_mechanism_driver_is_documented():
    page = pathlib.Path(__file__).parents[3] / "docs" / "support.md"
    section = page.read_text().split("## Mechanism drivers\n")[1].split("\nRefused:\n")[1]
    named = re.findall(r"^\| `([\w-]+)` \|", section, re.MULTILINE)
    assert set(named) == refusals.REFUSED_MECHANISM_DRIVERS.keys()
