# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What a bare subclass of ML2 loses silently: native bulk, pagination, sorting; and refusals."""

import pytest
from neutron.api import api_common
from neutron_lib.callbacks import manager as callbacks_manager
from neutron_lib.callbacks import registry
from oslo_config import cfg

from networking_workflow.capture import mechanisms
from tests.functional.capture import inprocess


def test_manager_of_the_loaded_plugin_is_ours_and_its_drivers_are_initialised(neutron):
    manager = neutron.plugin.mechanism_manager
    assert isinstance(manager, mechanisms.CapturingMechanismManager)
    assert [driver.name for driver in manager.ordered_mech_drivers] == list(
        inprocess.MECHANISM_DRIVERS
    )


def test_loaded_plugin_is_native(neutron):
    assert api_common.is_native_pagination_supported(neutron.plugin)
    assert api_common.is_native_sorting_supported(neutron.plugin)


def test_page_of_ports_does_not_read_the_whole_table(neutron):
    network = neutron.create("network", name="n")
    neutron.create_bulk("port", [{"network_id": network["id"]} for _ in range(12)])
    with inprocess.statements(reader=True) as seen:
        page = neutron.call("GET", f"ports?limit=5&network_id={network['id']}")
    assert len(page["ports"]) == 5
    listing = [one.text for one in seen if "FROM ports" in one.text]
    assert any("LIMIT" in text for text in listing)


def test_unknown_marker_is_not_found(neutron):
    neutron.call("GET", "ports?limit=5&marker=no-such-port", status=404)


def test_ports_come_sorted(neutron):
    network = neutron.create("network", name="n")
    neutron.create_bulk(
        "port", [{"network_id": network["id"], "name": name} for name in ("b", "c", "a")]
    )
    query = f"network_id={network['id']}&sort_key=name&sort_dir=desc"
    ports = neutron.call("GET", f"ports?{query}")["ports"]
    assert [port["name"] for port in ports] == ["c", "b", "a"]


@pytest.mark.parametrize(
    ("group", "option", "value"),
    [
        ("DEFAULT", "service_plugins", ["local_ip"]),
        ("ml2", "extension_drivers", ["port_security", "testdb"]),
        ("ml2", "mechanism_drivers", ["macvtap"]),
    ],
)
def test_uncovered_plugin_stops_the_start(neutron, capsys, monkeypatch, group, option, value):
    # What is refused has subscribed already; the loaded plugin's callbacks stay as they are.
    monkeypatch.setattr(registry, "_CALLBACK_MANAGER", callbacks_manager.CallbacksManager())
    scope = None if group == "DEFAULT" else group
    cfg.CONF.set_override(option, value, group=scope)
    try:
        with pytest.raises(SystemExit):
            inprocess.Ml2Plugin()
    finally:
        cfg.CONF.clear_override(option, group=scope)
    assert f"'{value[-1]}'" in capsys.readouterr().err
