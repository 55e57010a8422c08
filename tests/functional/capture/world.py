# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Things to call the API about, and questions about what it recorded."""

import functools
import typing

from tests.functional.capture import inprocess

NAME = "default:{}/{}"


class World:
    """What the calls below work on; each thing is made when it is first asked for."""

    def __init__(self, neutron: inprocess.Neutron) -> None:
        self.neutron = neutron
        self.prepared: typing.Any = None

    @functools.cached_property
    def network(self) -> dict[str, typing.Any]:
        return self.neutron.create("network", name="n")

    @functools.cached_property
    def subnet(self) -> dict[str, typing.Any]:
        pools = [{"start": "10.0.0.2", "end": "10.0.0.199"}]
        return self.add_subnet(cidr="10.0.0.0/24", name="s", allocation_pools=pools)

    @functools.cached_property
    def group(self) -> dict[str, typing.Any]:
        return self.neutron.create("security_group", name="g")

    @functools.cached_property
    def other(self) -> dict[str, typing.Any]:
        return self.neutron.create("security_group", name="o")

    @functools.cached_property
    def addresses(self) -> dict[str, typing.Any]:
        return self.neutron.create("address_group", name="a", addresses=["10.1.0.0/16"])

    @functools.cached_property
    def rule(self) -> dict[str, typing.Any]:
        return self.add_rule(
            protocol="tcp", port_range_min=22, port_range_max=22, remote_ip_prefix="10.3.0.9/16"
        )

    @functools.cached_property
    def port(self) -> dict[str, typing.Any]:
        return self.neutron.create(
            "port",
            network_id=self.network["id"],
            fixed_ips=[{"subnet_id": self.subnet["id"]}],
            security_groups=[self.group["id"]],
        )

    def add_subnet(self, **values: typing.Any) -> dict[str, typing.Any]:
        values = {"ip_version": 4, "cidr": "10.9.0.0/24", **values}
        return self.neutron.create("subnet", network_id=self.network["id"], **values)

    def add_rule(self, **values: typing.Any) -> dict[str, typing.Any]:
        values = {"direction": "ingress", "ethertype": "IPv4", **values}
        values.setdefault("security_group_id", self.group["id"])
        return self.neutron.create("security_group_rule", **values)

    def put(self, kind: str, **values: typing.Any) -> dict[str, typing.Any]:
        owner = {"security_group": "group", "address_group": "addresses"}.get(kind, kind)
        return self.neutron.update(kind, getattr(self, owner)["id"], **values)


def slaac_subnet(world):
    return world.add_subnet(
        ip_version=6, cidr="fd00::/64", ipv6_ra_mode="slaac", ipv6_address_mode="slaac"
    )


def host_bound_port(world):
    return world.neutron.create(
        "port",
        network_id=world.network["id"],
        fixed_ips=[{"subnet_id": world.subnet["id"]}],
        **{"binding:host_id": "host-ovs-no_filter"},
    )


def made_with_external_port(world):
    return world.neutron.create(
        "port", network_id=world.network["id"], **{"binding:vnic_type": "direct"}
    )


def only(found, resource_type, operation=None):
    chosen = [
        one
        for one in found
        if one.resource_type == resource_type and operation in (None, one.operation)
    ]
    assert len(chosen) == 1, found
    return chosen[0]


def key(kind, resource):
    return NAME.format(kind, resource["id"])
