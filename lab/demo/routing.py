# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Routers, floating IPs, port forwardings and QoS against OVN's rows; see ``compare``."""

import ipaddress
import typing

from lab.demo import northbound

Resource = dict[str, typing.Any]

GATEWAY_OWNER = "network:router_gateway"
INTERFACE_OWNER = "network:router_interface"
FLOATING_OWNER = "network:floatingip"

#: ``[ovn] ovn_router_indirect_snat`` is on: one rule for all that leaves a router.
_INNER = "0.0.0.0/0"


class Checks(typing.Protocol):
    """Where a field is compared."""

    def check(self, what: str, expected: typing.Any, found: typing.Any) -> None:
        """Compare one field."""


class Cloud(typing.Protocol):
    """What the API lists."""

    @property
    def networks(self) -> list[Resource]:
        """Return the networks."""

    @property
    def subnets(self) -> list[Resource]:
        """Return the subnets."""

    @property
    def ports(self) -> list[Resource]:
        """Return the ports."""

    @property
    def routers(self) -> list[Resource]:
        """Return the routers."""

    @property
    def floatingips(self) -> list[Resource]:
        """Return the floating IPs, port forwardings included."""

    @property
    def policies(self) -> list[Resource]:
        """Return the QoS policies with their rules."""


def compare(result: Checks, cloud: Cloud, nb: northbound.Northbound) -> None:
    """Compare all of it, both ways."""
    for router in cloud.routers:
        _router(result, router, cloud, nb)
    _floatingips(result, cloud, nb)
    _policies(result, cloud, nb)
    names = {f"neutron-{router['id']}" for router in cloud.routers}
    result.check("routers", names, {row["name"] for row in nb.rows("Logical_Router")})
    ports = {
        f"lrp-{port['id']}"
        for port in cloud.ports
        if port["device_owner"] in (GATEWAY_OWNER, INTERFACE_OWNER)
    }
    result.check("router ports", ports, {row["name"] for row in nb.rows("Logical_Router_Port")})


def _router(result: Checks, router: Resource, cloud: Cloud, nb: northbound.Northbound) -> None:
    what = f"router {router['name']}"
    row = nb.named("Logical_Router", f"neutron-{router['id']}")
    result.check(f"{what}: exists", True, row is not None)
    if row is None:
        return
    result.check(f"{what}: enabled", router["admin_state_up"], row["enabled"])
    result.check(f"{what}: name", router["name"], row["external_ids"].get("neutron:router_name"))
    routes = {(route["destination"], route["nexthop"]) for route in router["routes"]}
    nats = set()
    for port in _ports_of(router, cloud, GATEWAY_OWNER):
        for address in port["fixed_ips"]:
            subnet = _subnet(address["subnet_id"], cloud)
            if subnet["gateway_ip"]:
                every = _INNER if subnet["ip_version"] == 4 else "::/0"
                routes.add((every, subnet["gateway_ip"]))
            if subnet["ip_version"] == 4 and router["external_gateway_info"]["enable_snat"]:
                nats.add((_INNER, address["ip_address"]))
    static = [nb.tables["Logical_Router_Static_Route"][one] for one in _set(row["static_routes"])]
    result.check(f"{what}: routes", routes, {(one["ip_prefix"], one["nexthop"]) for one in static})
    snat = [one for one in (nb.tables["NAT"][one] for one in _set(row["nat"]))]
    found = {(one["logical_ip"], one["external_ip"]) for one in snat if one["type"] == "snat"}
    result.check(f"{what}: source NAT", nats, found)
    for port in cloud.ports:
        if port["device_id"] == router["id"]:
            _router_port(result, what, port, cloud, nb)


def _router_port(
    result: Checks, what: str, port: Resource, cloud: Cloud, nb: northbound.Northbound
) -> None:
    row = nb.named("Logical_Router_Port", f"lrp-{port['id']}")
    result.check(f"{what}: port {port['id'][:8]} exists", True, row is not None)
    if row is None:
        return
    what = f"{what}: port {port['id'][:8]}"
    result.check(f"{what}: mac", port["mac_address"], row["mac"])
    networks = set()
    for address in port["fixed_ips"]:
        cidr = ipaddress.ip_network(_subnet(address["subnet_id"], cloud)["cidr"])
        networks.add(f"{address['ip_address']}/{cidr.prefixlen}")
    result.check(f"{what}: networks", networks, set(_set(row["networks"])))
    if port["device_owner"] == GATEWAY_OWNER:
        connected = [
            one["network_id"]
            for one in cloud.ports
            if one["device_id"] == port["device_id"] and one["device_owner"] == INTERFACE_OWNER
        ]
        mtu = min(_mtu(network, cloud) for network in (port["network_id"], *connected))
        result.check(f"{what}: gateway_mtu", str(mtu), row["options"].get("gateway_mtu"))


def _floatingips(result: Checks, cloud: Cloud, nb: northbound.Northbound) -> None:
    expected, vips = {}, set()
    for floating in cloud.floatingips:
        if floating["port_id"]:
            expected[floating["floating_ip_address"]] = (
                floating["fixed_ip_address"],
                f"neutron-{floating['router_id']}",
            )
        for one in floating["port_forwardings"]:
            vips.add(
                (
                    f"{floating['floating_ip_address']}:{one['external_port']}",
                    f"{one['internal_ip_address']}:{one['internal_port']}",
                )
            )
    found = {}
    for router in nb.rows("Logical_Router"):
        for uuid in _set(router["nat"]):
            row = nb.tables["NAT"][uuid]
            if row["type"] == "dnat_and_snat":
                found[row["external_ip"]] = (row["logical_ip"], router["name"])
    for address in sorted(expected | found):
        result.check(f"floating IP {address}", expected.get(address), found.get(address))
    balanced = {pair for row in nb.rows("Load_Balancer") for pair in row["vips"].items()}
    result.check("port forwardings", vips, balanced)


def _policies(result: Checks, cloud: Cloud, nb: northbound.Northbound) -> None:
    """Each port with a policy has a rate for each of its rules' directions."""
    rates = {
        (policy["id"], rule["direction"]): rule["max_kbps"]
        for policy in cloud.policies
        for rule in policy["rules"]
        if rule["type"] == "bandwidth_limit"
    }
    directions = {"egress": "from-lport", "ingress": "to-lport"}
    expected = {
        (port["id"], directions[direction]): rate
        for port in cloud.ports
        for (policy, direction), rate in rates.items()
        if port["qos_policy_id"] == policy
    }
    found = {
        (row["external_ids"]["neutron:port_id"], row["direction"]): row["bandwidth"].get("rate")
        for row in nb.rows("QoS")
    }
    result.check("rates of ports", expected, found)


def _set(value: typing.Any) -> frozenset[typing.Any]:
    return northbound.as_set(value)


def _ports_of(router: Resource, cloud: Cloud, owner: str) -> list[Resource]:
    return [
        port
        for port in cloud.ports
        if port["device_id"] == router["id"] and port["device_owner"] == owner
    ]


def _subnet(subnet_id: str, cloud: Cloud) -> Resource:
    return next(subnet for subnet in cloud.subnets if subnet["id"] == subnet_id)


def _mtu(network_id: str, cloud: Cloud) -> int:
    return int(next(one["mtu"] for one in cloud.networks if one["id"] == network_id))
