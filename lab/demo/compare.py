# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Neutron's answers against OVN's rows, field by field; shares no code with the drivers.

What OVN must hold is written here a second time, from the API's dicts and OVN's documentation
(ovn-nb(5)), so that a mistake of the driver cannot hide itself.
"""

import dataclasses
import ipaddress
import typing

from lab.demo import northbound, routing

Resource = dict[str, typing.Any]

METADATA_OWNER = "network:distributed"
METADATA_ROUTE = "169.254.169.254/32"
ALLOW_PRIORITY = 1002  #: neutron/common/ovn/constants.py, ACL_PRIORITY_ALLOW
_TRANSPORT = {"tcp", "udp", "sctp"}


class Api(typing.Protocol):
    """What answers a GET below ``/v2.0``."""

    def get(self, path: str) -> typing.Any:
        """Return the body."""


@dataclasses.dataclass(frozen=True)
class Cloud:
    """Every resource that the API lists, by kind."""

    networks: list[Resource]
    subnets: list[Resource]
    ports: list[Resource]
    security_groups: list[Resource]
    routers: list[Resource] = dataclasses.field(default_factory=list)
    floatingips: list[Resource] = dataclasses.field(default_factory=list)
    policies: list[Resource] = dataclasses.field(default_factory=list)

    @property
    def switch_ports(self) -> list[Resource]:
        """Return the ports that OVN has a row for: those of floating IPs are addresses only."""
        return [port for port in self.ports if port["device_owner"] != routing.FLOATING_OWNER]


@dataclasses.dataclass
class Comparison:
    """How many fields were compared, and each one that differs, in words."""

    fields: int = 0
    differences: list[str] = dataclasses.field(default_factory=list)

    def check(self, what: str, expected: typing.Any, found: typing.Any) -> None:
        """Compare one field."""
        self.fields += 1
        if expected != found:
            self.differences.append(f"{what}: Neutron says {expected!r}, OVN holds {found!r}")


def group_name(group_id: str) -> str:
    """Return the name of a security group's Port_Group."""
    return "pg_" + group_id.replace("-", "_")


def listed(api: Api) -> Cloud:
    """Return everything that an API lists."""
    kinds = ("networks", "subnets", "ports", "security_groups", "routers", "floatingips")
    return Cloud(
        **{kind: api.get(f"/{kind}")[kind] for kind in kinds},
        policies=api.get("/qos/policies")["policies"],
    )


def compare(cloud: Cloud, nb: northbound.Northbound) -> Comparison:
    """Compare the whole cloud with the whole northbound database, both ways."""
    result = Comparison()
    for network in cloud.networks:
        _network(result, network, cloud, nb)
    for subnet in cloud.subnets:
        _subnet(result, subnet, cloud, nb)
    for port in cloud.switch_ports:
        _port(result, port, cloud, nb)
    for group in cloud.security_groups:
        _group(result, group, cloud, nb)
    _drop_group(result, cloud, nb)
    _nothing_else(result, cloud, nb)
    routing.compare(result, cloud, nb)
    return result


def _network(
    result: Comparison, network: Resource, cloud: Cloud, nb: northbound.Northbound
) -> None:
    what = f"network {network['name']}"
    switch = nb.named("Logical_Switch", f"neutron-{network['id']}")
    result.check(f"{what}: switch exists", True, switch is not None)
    if switch is None:
        return
    result.check(
        f"{what}: name", network["name"], switch["external_ids"].get("neutron:network_name")
    )
    result.check(f"{what}: mtu", str(network["mtu"]), switch["external_ids"].get("neutron:mtu"))
    ports = {
        nb.tables["Logical_Switch_Port"][row]["name"] for row in northbound.as_set(switch["ports"])
    }
    ports = {name for name in ports if not name.startswith("provnet-")}
    expected = {port["id"] for port in cloud.switch_ports if port["network_id"] == network["id"]}
    result.check(f"{what}: ports", expected, ports)


def _subnet_options(subnet_id: str, nb: northbound.Northbound) -> list[northbound.Row]:
    return [
        row
        for row in nb.rows("DHCP_Options")
        if row["external_ids"].get("subnet_id") == subnet_id
        and "port_id" not in row["external_ids"]
    ]


def _has_dhcp_options(subnet: Resource) -> bool:
    if not subnet["enable_dhcp"]:
        return False
    return subnet["ip_version"] == 4 or subnet["ipv6_address_mode"] in (
        "dhcpv6-stateful",
        "dhcpv6-stateless",
    )


def _metadata_address(subnet: Resource, cloud: Cloud) -> str | None:
    for port in cloud.ports:
        if port["network_id"] == subnet["network_id"] and port["device_owner"] == METADATA_OWNER:
            for address in port["fixed_ips"]:
                if address["subnet_id"] == subnet["id"]:
                    return str(address["ip_address"])
    return None


def _subnet(result: Comparison, subnet: Resource, cloud: Cloud, nb: northbound.Northbound) -> None:
    what = f"subnet {subnet['name']}"
    rows = _subnet_options(subnet["id"], nb)
    result.check(f"{what}: DHCP option rows", int(_has_dhcp_options(subnet)), len(rows))
    if not rows or not _has_dhcp_options(subnet):
        return
    row, options = rows[0], rows[0]["options"]
    result.check(f"{what}: cidr", subnet["cidr"], row["cidr"])
    servers = "{" + ", ".join(subnet["dns_nameservers"]) + "}"
    result.check(f"{what}: dns_server", servers, options.get("dns_server"))
    if subnet["ip_version"] == 6:
        result.check(f"{what}: server_id", True, "server_id" in options)
        return
    network = next(net for net in cloud.networks if net["id"] == subnet["network_id"])
    metadata = _metadata_address(subnet, cloud)
    gateway = subnet["gateway_ip"]
    routes = [f"{METADATA_ROUTE},{metadata}"] if metadata else []
    routes += [f"{route['destination']},{route['nexthop']}" for route in subnet["host_routes"]]
    if routes and gateway:
        routes.append(f"0.0.0.0/0,{gateway}")
    result.check(f"{what}: metadata address", True, metadata is not None)
    result.check(f"{what}: server_id", gateway or metadata, options.get("server_id"))
    result.check(f"{what}: router", gateway, options.get("router"))
    result.check(f"{what}: mtu", str(network["mtu"]), options.get("mtu"))
    result.check(f"{what}: lease_time", True, "lease_time" in options)
    static = "{" + ", ".join(routes) + "}" if routes else None
    result.check(f"{what}: classless_static_route", static, options.get("classless_static_route"))


def _addresses(port: Resource) -> str:
    return " ".join([port["mac_address"], *(ip["ip_address"] for ip in port["fixed_ips"])])


def _port_security(port: Resource) -> frozenset[str]:
    if not port["port_security_enabled"] or port["device_owner"] == METADATA_OWNER:
        return frozenset()
    allowed = {port["mac_address"]: [ip["ip_address"] for ip in port["fixed_ips"]]}
    for pair in port["allowed_address_pairs"]:
        allowed.setdefault(pair["mac_address"], []).append(pair["ip_address"])
    return frozenset(" ".join([mac, *addresses]) for mac, addresses in allowed.items())


def _port(result: Comparison, port: Resource, cloud: Cloud, nb: northbound.Northbound) -> None:
    what = f"port {port['name'] or port['id']}"
    row = nb.named("Logical_Switch_Port", port["id"])
    result.check(f"{what}: exists", True, row is not None)
    if row is None:
        return
    metadata = port["device_owner"] == METADATA_OWNER
    routed = port["device_owner"] in (routing.GATEWAY_OWNER, routing.INTERFACE_OWNER)
    found = northbound.as_set(row["addresses"])
    expected = {"router"} if routed else {_addresses(port)}
    if not metadata and not routed and not port["port_security_enabled"]:
        expected.add("unknown")
    result.check(f"{what}: addresses", frozenset(expected), found)
    result.check(
        f"{what}: port_security", _port_security(port), northbound.as_set(row["port_security"])
    )
    result.check(f"{what}: enabled", port["admin_state_up"], row["enabled"])
    kind = "localport" if metadata else "router" if routed else ""
    result.check(f"{what}: type", kind, row["type"])
    result.check(f"{what}: name", port["name"], row["external_ids"].get("neutron:port_name"))
    profile = port["binding:profile"] or {}
    result.check(f"{what}: tag", profile.get("tag", frozenset()), row["tag"])
    result.check(
        f"{what}: parent_name", profile.get("parent_name", frozenset()), row["parent_name"]
    )
    for version, column in ((4, "dhcpv4_options"), (6, "dhcpv6_options")):
        result.check(f"{what}: {column}", _options_of(port, version, cloud, nb), row[column])


def _options_of(
    port: Resource, version: int, cloud: Cloud, nb: northbound.Northbound
) -> typing.Any:
    """Return the row UUID of the DHCP options that the port must use, or an empty set."""
    if port["device_owner"].startswith("network:"):
        return frozenset()
    for address in port["fixed_ips"]:
        if ipaddress.ip_address(address["ip_address"]).version != version:
            continue
        subnet = next(sub for sub in cloud.subnets if sub["id"] == address["subnet_id"])
        if _has_dhcp_options(subnet):
            rows = _subnet_options(subnet["id"], nb)
            return rows[0]["_uuid"] if rows else f"options of {subnet['name']}"
    return frozenset()


def _match(rule: Resource) -> str:
    ingress = rule["direction"] == "ingress"
    ip = "ip4" if rule["ethertype"] == "IPv4" else "ip6"
    side = f"{ip}.{'src' if ingress else 'dst'}"
    parts = [
        f"{'outport' if ingress else 'inport'} == @{group_name(rule['security_group_id'])}",
        ip,
    ]
    if rule["remote_ip_prefix"]:
        network = ipaddress.ip_network(rule["remote_ip_prefix"], strict=False)
        parts.append(f"{side} == {network}")
    if rule["remote_group_id"]:
        parts.append(f"{side} == ${group_name(rule['remote_group_id'])}_{ip}")
    low, high, protocol = rule["port_range_min"], rule["port_range_max"], rule["protocol"]
    if protocol in ("icmp", "ipv6-icmp", "icmpv6"):
        name = "icmp4" if ip == "ip4" else "icmp6"
        parts.append(name)
        parts += [f"{name}.type == {low}"] if low is not None else []
        parts += [f"{name}.code == {high}"] if high is not None else []
    elif protocol in _TRANSPORT:
        parts.append(protocol)
        if low is not None and low == high:
            parts.append(f"{protocol}.dst == {low}")
        else:
            parts += [f"{protocol}.dst >= {low}"] if low is not None else []
            parts += [f"{protocol}.dst <= {high}"] if high is not None else []
    return " && ".join(parts)


def _members(row: northbound.Row, nb: northbound.Northbound) -> set[str]:
    return {
        nb.tables["Logical_Switch_Port"][uuid]["name"] for uuid in northbound.as_set(row["ports"])
    }


def _group(result: Comparison, group: Resource, cloud: Cloud, nb: northbound.Northbound) -> None:
    what = f"security group {group['name']} ({group['id'][:8]})"
    row = nb.named("Port_Group", group_name(group["id"]))
    result.check(f"{what}: port group exists", True, row is not None)
    if row is None:
        return
    members = {port["id"] for port in cloud.ports if group["id"] in port["security_groups"]}
    result.check(f"{what}: members", members, _members(row, nb))
    expected = {
        (
            "to-lport" if rule["direction"] == "ingress" else "from-lport",
            ALLOW_PRIORITY,
            "allow-related" if group["stateful"] else "allow-stateless",
            _match(rule),
        )
        for rule in group["security_group_rules"]
    }
    acls = [nb.tables["ACL"][uuid] for uuid in northbound.as_set(row["acls"])]
    found = {(acl["direction"], acl["priority"], acl["action"], acl["match"]) for acl in acls}
    for acl in sorted(expected | found):
        result.check(f"{what}: ACL {acl[3]}", acl in expected, acl in found)
    result.check(f"{what}: number of ACLs", len(expected), len(acls))


def _drop_group(result: Comparison, cloud: Cloud, nb: northbound.Northbound) -> None:
    row = nb.named("Port_Group", "neutron_pg_drop")
    expected = {
        port["id"]
        for port in cloud.ports
        if port["port_security_enabled"] and not port["device_owner"].startswith("network:")
    }
    result.check("neutron_pg_drop: members", expected, _members(row, nb) if row else None)


def _nothing_else(result: Comparison, cloud: Cloud, nb: northbound.Northbound) -> None:
    """Nothing that was deleted in Neutron is left in OVN."""
    switches = {f"neutron-{network['id']}" for network in cloud.networks}
    result.check("switches", switches, {row["name"] for row in nb.rows("Logical_Switch")})
    ports = {port["id"] for port in cloud.switch_ports}
    found = {row["name"] for row in nb.rows("Logical_Switch_Port")}
    found = {name for name in found if not name.startswith("provnet-")}
    result.check("switch ports", ports, found)
    groups = {group_name(group["id"]) for group in cloud.security_groups} | {"neutron_pg_drop"}
    result.check("port groups", groups, {row["name"] for row in nb.rows("Port_Group")})
    subnets = {subnet["id"] for subnet in cloud.subnets if _has_dhcp_options(subnet)}
    options = {row["external_ids"].get("subnet_id") for row in nb.rows("DHCP_Options")}
    result.check("subnets with DHCP options", subnets, options)
