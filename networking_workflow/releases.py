# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The releases of Neutron that are supported, and each difference between them, once.

The rest of the package is written for the newest one and asks here. What is newer than the oldest
release is looked for, so that a difference goes with the release that has it.
"""

import dataclasses
import importlib.metadata
import importlib.util
import typing

from neutron.common.ovn import constants as ovn_const
from neutron.conf.plugins.ml2.drivers.ovn import ovn_conf

from networking_workflow.model import errors

#: Major versions, oldest first; ``pyproject.toml`` asks pip for the same.
SUPPORTED = (28, 29)

#: Service plugins that are refused with a release and covered with later ones, with the reason.
REFUSED_SERVICE_PLUGINS: dict[int, dict[str, str]] = {
    28: {
        "log": "Neutron 28 drops at the priority of the ACLs that say for which group: they would "
        "not be the ones that log; install Neutron 29"
    },
}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Northbound:
    """What ML2/OVN of a release writes northbound; the defaults are those of the newest."""

    local_ports_have_mtu: bool = True  #: ``neutron:mtu`` of metadata and health monitor ports
    pairs_send_by_own_mac: bool = True  #: an address pair's MAC, in ``port_security``
    localnets_name_network: bool = True  #: ``neutron:provnet-physical-network`` of localnet ports
    routers_tell_metadata: bool = True  #: ``route_info`` of what routers tell IPv6 hosts
    rules_have_floating_ip_uuid: bool = True  #: the uuid of a NAT row is the floating IP's id
    central_rules_name_gateway: bool = False  #: ``gateway_port`` of those not distributed, too
    gateways_have_group: bool = True  #: ``ha_chassis_group``; otherwise ``gateway_chassis``


#: What the newest release writes.
NEWEST = Northbound()

_NORTHBOUND = {
    28: Northbound(
        local_ports_have_mtu=False,
        pairs_send_by_own_mac=False,
        localnets_name_network=False,
        routers_tell_metadata=False,
        rules_have_floating_ip_uuid=False,
        central_rules_name_gateway=True,
        gateways_have_group=False,
    ),
}


def installed() -> int:
    """Return the major version of the Neutron that this process imports."""
    return int(importlib.metadata.version("neutron").split(".")[0])


def check(release: int | None = None) -> None:
    """Return if ``release`` is supported; None: the one that is installed.

    :raises ConfigurationError: otherwise.
    """
    release = installed() if release is None else release
    if release not in SUPPORTED:
        supported = " and ".join(str(one) for one in SUPPORTED)
        raise errors.ConfigurationError(
            f"Neutron {release} is not supported by this networking-workflow, which knows Neutron "
            f"{supported}. Install one of these, or use the core plugin ml2."
        )


def policy_rules() -> typing.Any:
    """Return the module with ``ADMIN`` and the other check strings of Neutron's policies.

    28 has them in Neutron, 29 in neutron-lib.
    """
    name = "neutron_lib.policy.rules"
    if importlib.util.find_spec(name) is None:
        name = "neutron.conf.policies.base"
    return importlib.import_module(name)


def switch_per_vlan_segment() -> bool:
    """Return whether ML2/OVN is told to make a logical switch of each VLAN segment: 29 can."""
    enabled = getattr(ovn_conf, "is_logical_switch_per_vlan_segment_enabled", None)
    return bool(enabled and enabled())


def northbound(release: int | None = None) -> Northbound:
    """Return what ML2/OVN of ``release`` writes; None: of the one that is installed."""
    return _NORTHBOUND.get(installed() if release is None else release, NEWEST)


def refused_service_plugins() -> dict[str, str]:
    """Return the service plugins that are refused with the installed release only, and why."""
    return REFUSED_SERVICE_PLUGINS.get(installed(), {})


def may_name_gateway(written: Northbound, gateway: typing.Any) -> bool:
    """Return whether ML2/OVN's rules of floating IPs name this ``Logical_Router_Port``.

    See ``_create_or_update_floatingip`` in ``ovn_client.py``: 29 asks whether the port is scheduled
    to chassis, 28 whether it brings traffic there.
    """
    if gateway is None:
        return False
    if written.gateways_have_group:
        return bool(gateway.ha_chassis_group)
    return bool(gateway.options.get(ovn_const.LRP_OPTIONS_RESIDE_REDIR_CH) == "true")


def nat_columns(written: Northbound, floatingip_id: str) -> dict[str, str]:
    """Return the arguments beside columns that ``add_nat_rule_in_lrouter`` takes."""
    return {"nat_uuid": floatingip_id} if written.rules_have_floating_ip_uuid else {}


def gives_subports(handler: typing.Any, port_id: str) -> bool:
    """Return whether ML2/OVN's handler of trunks makes subports of this trunk's port.

    29 leaves ports of the type ``external`` to others, 28 makes no difference.
    """
    asked = getattr(handler, "_parent_port_handled_by_ovn", None)
    return asked is None or bool(asked(port_id))
