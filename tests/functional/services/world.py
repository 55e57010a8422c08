# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Routers and what hangs on them, each made when it is first asked for."""

import dataclasses
import functools
import typing

from tests.functional.capture import inprocess
from tests.functional.ovn import cloud, logged

Made = dict[str, typing.Any]

VLAN = {"network_type": "vlan", "physical_network": "physnet1"}


class Neutron(cloud.Neutron):
    """Capturing, with every service plugin whose changes are workflows."""

    def profile(self) -> typing.Any:
        return dataclasses.replace(
            super().profile(),
            core_plugin="ml2_workflow",
            # Services, as most callers here are, see what they would see without it.
            workflow={"conductor": "separate", "status_mode": "extended"},
            service_plugins=("ovn-router", "qos", "port_forwarding", "trunk", "segments", "log"),
            extension_drivers=("port_security", "qos"),
            tenants=True,
        )


class World:
    """What the calls of a test work on."""

    def __init__(self, neutron: inprocess.Neutron) -> None:
        self.neutron = neutron

    def stand_behind(self, other: "World") -> None:
        """Take what another world has instead of making it: its router, and the networks."""
        self.external, self.network = other.external, other.network
        self.subnet, self.router = other.subnet, other.router

    @functools.cached_property
    def external(self) -> Made:
        network: Made = self.neutron.create("network", **{"router:external": True})
        self.neutron.create("subnet", network_id=network["id"], ip_version=4, cidr="203.0.113.0/24")
        return network

    @functools.cached_property
    def network(self) -> Made:
        made: Made = self.neutron.create("network")
        return made

    @functools.cached_property
    def subnet(self) -> Made:
        made: Made = self.neutron.create(
            "subnet", network_id=self.network["id"], ip_version=4, cidr="10.0.0.0/24"
        )
        return made

    @functools.cached_property
    def port(self) -> Made:
        return self.add_port()

    @functools.cached_property
    def other(self) -> Made:
        return self.add_port()

    @functools.cached_property
    def bare(self) -> Made:
        """A router that stands alone."""
        made: Made = self.neutron.create("router", name="bare")
        return made

    @functools.cached_property
    def router(self) -> Made:
        """A router with a gateway and an interface."""
        gateway = {"network_id": self.external["id"]}
        made: Made = self.neutron.create("router", name="r", external_gateway_info=gateway)
        self.interface(made, "add", subnet_id=self.subnet["id"])
        return made

    @functools.cached_property
    def floatingip(self) -> Made:
        """One without a port."""
        return self.add_floatingip()

    @functools.cached_property
    def associated(self) -> Made:
        """One of the port."""
        assert self.router
        return self.add_floatingip(port_id=self.port["id"])

    @functools.cached_property
    def forwarding(self) -> Made:
        """A port forwarding of ``floatingip`` to the port."""
        assert self.router
        return self.add_forwarding(external_port=80)

    @functools.cached_property
    def policy(self) -> Made:
        """A policy with one rule, ``rule``."""
        made: Made = self.qos("POST", "", policy={"name": "q", "project_id": inprocess.PROJECT})
        return made["policy"]

    @functools.cached_property
    def rule(self) -> Made:
        path = f"/{self.policy['id']}/bandwidth_limit_rules"
        made: Made = self.qos("POST", path, bandwidth_limit_rule={"max_kbps": 1000})
        return made["bandwidth_limit_rule"]

    @functools.cached_property
    def trunk(self) -> Made:
        """A trunk over the port, with ``other`` as a subport."""
        return self.add_trunk(self.port, self.other)

    @functools.cached_property
    def physical(self) -> Made:
        """A network on a physical one."""
        names = {"provider:network_type": "vlan", "provider:physical_network": "physnet1"}
        made: Made = self.neutron.create("network", mtu=1400, **names)
        return made

    @functools.cached_property
    def segment(self) -> Made:
        """A second segment of ``physical``."""
        return self.add_segment(**VLAN)

    @functools.cached_property
    def elsewhere(self) -> Made:
        """A second segment of ``physical``, on a physical network that no chassis reaches."""
        name = inprocess.unique("physnet")
        return self.add_segment(network_type="flat", physical_network=name)

    @functools.cached_property
    def deferred(self) -> Made:
        """A port without an address until it has a host: ``physical`` has a subnet a segment."""
        assert self.segmented
        self.add_routed("10.8.0.0/24", self.elsewhere)
        made: Made = self.neutron.create("port", network_id=self.physical["id"])
        assert made["fixed_ips"] == []
        return made

    @functools.cached_property
    def segmented(self) -> Made:
        """A subnet in the first segment of ``physical``."""
        return self.add_routed("10.7.0.0/24", self.first_segment())

    @functools.cached_property
    def group(self) -> Made:
        made: Made = self.neutron.create("security_group", name="g")
        return made

    @functools.cached_property
    def log(self) -> Made:
        """A log object for ``group``."""
        return self.add_log(resource_id=self.group["id"])

    def add_log(self, **values: typing.Any) -> Made:
        return logged.create(self.neutron, **values)

    def first_segment(self) -> Made:
        """Return the segment that ``physical`` was created with, while it is the only one."""
        path = f"segments?network_id={self.physical['id']}"
        (first,) = self.neutron.call("GET", path)["segments"]
        return typing.cast(Made, first)

    def add_segment(self, **values: typing.Any) -> Made:
        body = {"network_id": self.physical["id"], **values}
        made: Made = self.neutron.call("POST", "segments", {"segment": body})
        return made["segment"]

    def add_routed(self, cidr: str, segment: Made) -> Made:
        """Add a subnet in a segment of ``physical``."""
        made: Made = self.neutron.create(
            "subnet",
            network_id=self.physical["id"],
            ip_version=4,
            cidr=cidr,
            segment_id=segment["id"],
        )
        return made

    def add_port(self, **values: typing.Any) -> Made:
        fixed = [{"subnet_id": self.subnet["id"]}]
        made: Made = self.neutron.create(
            "port", network_id=self.network["id"], fixed_ips=fixed, **values
        )
        return made

    def add_floatingip(self, **values: typing.Any) -> Made:
        made: Made = self.neutron.create(
            "floatingip", floating_network_id=self.external["id"], **values
        )
        return made

    def add_forwarding(self, **values: typing.Any) -> Made:
        body = {
            "internal_port_id": self.port["id"],
            "internal_ip_address": self.port["fixed_ips"][0]["ip_address"],
            "internal_port": values["external_port"],
            "protocol": "tcp",
            **values,
        }
        path = f"floatingips/{self.floatingip['id']}/port_forwardings"
        made: Made = self.neutron.call("POST", path, {"port_forwarding": body})
        return made["port_forwarding"]

    def add_trunk(self, parent: Made, *subports: Made) -> Made:
        made: Made = self.neutron.create(
            "trunk", port_id=parent["id"], sub_ports=[subport(one) for one in subports]
        )
        return made

    def interface(self, router: Made, verb: str, **body: typing.Any) -> Made:
        path = f"routers/{router['id']}/{verb}_router_interface"
        answer: Made = self.neutron.call("PUT", path, body)
        return answer

    def qos(self, method: str, path: str, **body: typing.Any) -> typing.Any:
        return self.neutron.call(method, f"qos/policies{path}", body or None)

    def put(self, kind: str, resource: Made, **values: typing.Any) -> Made:
        made: Made = self.neutron.update(kind, resource["id"], **values)
        return made


def subport(port: Made) -> Made:
    number = 1 + int(port["id"][:2], 16)
    return {"port_id": port["id"], "segmentation_type": "vlan", "segmentation_id": number}
