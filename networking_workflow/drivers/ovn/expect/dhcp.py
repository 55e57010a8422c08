# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A port's own DHCP options (``extra_dhcp_opts``) in OVN's words."""

import typing

from neutron.common.ovn import constants as ovn_const

from networking_workflow.drivers.ovn import facts

_NETWORK_DEVICES = ("network:", "neutron:")


def disabled(port: facts.Dict, version: int, *, baremetal_dhcp: bool) -> bool:
    """Return whether OVN must not answer this port's DHCP requests."""
    if (port.get("device_owner") or "").startswith(_NETWORK_DEVICES):
        return True
    if port.get("binding:vnic_type") == "baremetal" and not baremetal_dhcp:
        return True
    return any(
        one["opt_name"] == "dhcp_disabled"
        and one["ip_version"] == version
        and str(one.get("opt_value", "")).lower() == "true"
        for one in port.get("extra_dhcp_opts") or ()
    )


def port_options(port: facts.Dict, version: int, *, baremetal_dhcp: bool) -> dict[str, str]:
    """Return the options by OVN's names; those that OVN does not know are left out."""
    if disabled(port, version, baremetal_dhcp=baremetal_dhcp):
        return {}
    names = ovn_const.SUPPORTED_DHCP_OPTS_MAPPING[version]
    if port.get("binding:vnic_type") == "baremetal":
        names = ovn_const.SUPPORTED_BM_DHCP_OPTS_MAPPING[version]
    return {
        names[one["opt_name"]]: _value(names[one["opt_name"]], one["opt_value"])
        for one in port.get("extra_dhcp_opts") or ()
        if one["ip_version"] == version and one["opt_name"] in names
    }


def merged(
    subnet_options: typing.Mapping[str, typing.Any], own: typing.Mapping[str, str]
) -> dict[str, typing.Any]:
    """Return the subnet's options with the port's over them; lists of routes are joined."""
    result = {**subnet_options, **own}
    for name in ovn_const.OVN_MAP_TYPE_DHCP_OPTS:
        if name in own and subnet_options.get(name):
            result[name] = f"{{{subnet_options[name][1:-1]}, {own[name][1:-1]}}}"
    return result


def _value(name: str, value: str) -> str:
    if name in ovn_const.OVN_STR_TYPE_DHCP_OPTS:
        return value if value.startswith('"') and value.endswith('"') else f'"{value}"'
    if name in ovn_const.OVN_MAP_TYPE_DHCP_OPTS:
        return value if value.startswith("{") and value.endswith("}") else f"{{{value}}}"
    return value
