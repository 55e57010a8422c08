# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Which plugins and drivers may be configured: those whose backend work is covered, by name.

Half of a change deferred and half of it sent at once is worse than either, so a process that would
do so does not start.
"""

import importlib.metadata
import types
import typing

from networking_workflow import releases
from networking_workflow.model import errors

#: Service plugins that program no backend, or all of whose backend work is workflows: routers and
#: port forwardings of OVN, QoS, logging of security groups.
SERVICE_PLUGINS = frozenset(
    {
        "auto_allocate",
        "flavors",
        "log",
        "network_ip_availability",
        "network_segment_range",
        "ovn-router",
        "port_forwarding",
        "qos",
        "revisions",
        "segments",
        "tag",
        "timestamp",
        "trunk",
    }
)

#: Extension drivers of ML2 whose rows are part of covered resources and that call no backend.
EXTENSION_DRIVERS = frozenset(
    {
        "data_plane_status",
        "dns",
        "dns_domain_keywords",
        "dns_domain_ports",
        "port_device_profile",
        "port_hardware_offload_type",
        "port_hint_ovs_tx_steering",
        "port_hints",
        "port_numa_affinity_policy",
        "port_security",
        "port_trusted",
        "qos",
        "subnet_dns_publish_fixed_ip",
        "tag_ports_during_bulk_creation",
        "uplink_status_propagation",
        "uplink_status_propagation_updatable",
    }
)

#: Mechanism drivers with backend work outside ``*_postcommit``. Any other driver is called by a
#: conductor, unmodified.
REFUSED_MECHANISM_DRIVERS: dict[str, str] = {
    "macvtap": "nobody has looked at what its agents need",
    "ovn-sync": "it is for neutron-ovn-db-sync-util only",
}

#: The one provider of OVN's router plugin, and the one driver of the QoS, of the logging and of the
#: trunk plugin, that are covered.
OVN_ROUTER_PROVIDER = "ovn"
OVN_QOS_DRIVER = "OVNQosDriver"
OVN_LOG_DRIVER = "ovn"
OVN_TRUNK_DRIVER = "ovn"


def refuse_uncovered(
    *,
    service_plugins: typing.Iterable[str],
    extension_drivers: typing.Iterable[str],
    mechanism_drivers: typing.Iterable[str],
) -> None:
    """Check configured names: entry point aliases, or for service plugins dotted class paths.

    :raises ConfigurationError: naming everything that is not covered, and what to do.
    """
    refused = releases.refused_service_plugins()
    covered = SERVICE_PLUGINS - refused.keys()
    complaints = [
        *_uncovered("service_plugins", covered, service_plugins, refused),
        *_uncovered("[ml2] extension_drivers", EXTENSION_DRIVERS, extension_drivers),
        *(
            f"mechanism driver '{name}': {REFUSED_MECHANISM_DRIVERS[name]}"
            for name in mechanism_drivers
            if name in REFUSED_MECHANISM_DRIVERS
        ),
    ]
    if complaints:
        raise errors.ConfigurationError(
            "The core plugin ml2_workflow does not cover everything that is configured: "
            + "; ".join(complaints)
            + ". Remove these from the configuration, or set core_plugin = ml2."
        )


def refuse_receivers(receivers: typing.Mapping[str, typing.Sequence[str]]) -> None:
    """Check which methods of each mechanism driver, by its name, hear of changes by themselves.

    :raises ConfigurationError: if any does: its work would be done once at once, past the order of
        the workflows.
    """
    complaints = [
        f"'{name}' ({', '.join(methods)})" for name, methods in receivers.items() if methods
    ]
    if complaints:
        raise errors.ConfigurationError(
            "The core plugin ml2_workflow calls a driver's *_postcommit methods, but these "
            f"mechanism drivers subscribe to changes besides: {'; '.join(complaints)}. Remove them "
            "from [ml2] mechanism_drivers, or set core_plugin = ml2."
        )


def refuse_router_providers(names: typing.Iterable[str]) -> None:
    """Check the providers of routers that OVN's router plugin has loaded.

    :raises ConfigurationError: if there is one besides OVN: it hears of changes by itself.
    """
    _refuse_others("[service_providers] service_provider", names, OVN_ROUTER_PROVIDER)


def refuse_qos_drivers(names: typing.Iterable[str]) -> None:
    """Check the drivers that have registered with the QoS plugin.

    :raises ConfigurationError: if there is one besides OVN's: nobody would call it.
    """
    _refuse_others("QoS driver", names, OVN_QOS_DRIVER)


def refuse_log_drivers(names: typing.Iterable[str]) -> None:
    """Check the drivers that have registered with the logging plugin.

    :raises ConfigurationError: if there is one besides OVN's: nobody would call it.
    """
    _refuse_others("logging driver", names, OVN_LOG_DRIVER)


def refuse_trunk_drivers(names: typing.Iterable[str]) -> None:
    """Check the drivers that have registered with the trunk plugin.

    :raises ConfigurationError: if there is one besides OVN's: it hears of subports by itself.
    """
    _refuse_others("trunk driver", names, OVN_TRUNK_DRIVER)


def _refuse_others(what: str, names: typing.Iterable[str], covered: str) -> None:
    others = sorted(set(names) - {covered})
    if others:
        raise errors.ConfigurationError(
            f"The core plugin ml2_workflow does not cover {what} {', '.join(others)}, only "
            f"{covered}. Remove it from the configuration, or set core_plugin = ml2."
        )


#: Option -> where its entry points are.
_GROUPS = {
    "service_plugins": "neutron.service_plugins",
    "[ml2] extension_drivers": "neutron.ml2.extension_drivers",
}


def _uncovered(
    option: str,
    covered: frozenset[str],
    configured: typing.Iterable[str],
    reasons: typing.Mapping[str, str] = types.MappingProxyType({}),
) -> list[str]:
    targets = {
        entry.value.replace(":", ".")
        for entry in importlib.metadata.entry_points(group=_GROUPS[option])
        if entry.name in covered
    }
    return [
        f"'{name}' in {option}" + (f" ({reasons[name]})" if name in reasons else "")
        for name in configured
        if name and name not in covered and name.replace(":", ".") not in targets
    ]
