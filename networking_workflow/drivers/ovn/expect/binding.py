# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What a port's binding asks of its logical switch port."""

import dataclasses
import typing

from neutron.common.ovn import constants as ovn_const

from networking_workflow.drivers.ovn import facts
from networking_workflow.drivers.ovn import settings as ovn_settings


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """The keys of ``binding:profile`` that OVN knows."""

    parent_name: str = ""
    tag: int | None = None
    vtep: typing.Mapping[str, str] = dataclasses.field(default_factory=dict)
    capabilities: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class AnyChassis:
    """The chassis of a card, which only the Southbound database can name."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and bool(other)

    def __str__(self) -> str:
        return "a chassis"


def parse(port: facts.Dict) -> Profile:
    """Return what the port's profile says; a parent hides a gateway, as in stock."""
    profile = port.get("binding:profile") or {}
    capabilities = tuple(profile.get("capabilities") or ())
    if "parent_name" in profile:
        return Profile(
            parent_name=profile["parent_name"],
            tag=int(profile["tag"]),
            capabilities=capabilities,
        )
    if "vtep-physical-switch" in profile:
        names = ("vtep-physical-switch", "vtep-logical-switch")
        return Profile(vtep={name: profile[name] for name in names}, capabilities=capabilities)
    return Profile(capabilities=capabilities)


def is_plugged_by_ovn(port: facts.Dict) -> bool:
    """Return whether OVN itself plugs the port's representor (SmartNICs)."""
    profile = port.get("binding:profile") or {}
    return port.get("binding:vnic_type") == "remote-managed" and "pf_mac_address" in profile


def options(
    port: facts.Dict, network: facts.Dict, kind: str, settings: ovn_settings.OvnSettings
) -> dict[str, typing.Any]:
    """Return ``Logical_Switch_Port.options`` as far as the binding decides them."""
    wanted: dict[str, typing.Any] = dict(parse(port).vtep)
    if kind == "external":
        return wanted
    profile = port.get("binding:profile") or {}
    if is_plugged_by_ovn(port):
        wanted |= {
            "vif-plug-type": "representor",
            "vif-plug-mtu-request": str(network["mtu"]),
            "vif-plug:representor:pf-mac": profile["pf_mac_address"],
            "vif-plug:representor:vf-num": str(profile["vf_num"]),
        }
    if kind != "virtual":
        wanted |= _chassis(port, profile, settings)
    return wanted


def _chassis(
    port: facts.Dict, profile: facts.Dict, settings: ovn_settings.OvnSettings
) -> dict[str, typing.Any]:
    if port.get("binding:vnic_type") == "remote-managed":
        return {"requested-chassis": AnyChassis()} if "card_serial_number" in profile else {}
    chassis = port.get("binding:host_id") or ""
    if not chassis:
        return {}
    wanted = {"requested-chassis": chassis}
    target = profile.get(ovn_const.MIGRATING_ATTR)
    if target:
        wanted["requested-chassis"] = f"{chassis},{target}"
        if settings.activation_strategy and port.get("binding:vif_type") != "vhostuser":
            wanted["activation-strategy"] = settings.activation_strategy
    return wanted
