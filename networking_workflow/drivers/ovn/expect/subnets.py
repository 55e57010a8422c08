# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A subnet: its DHCP options, and those of its ports that have options of their own."""

import ipaddress
import typing

from neutron.common.ovn import constants as ovn_const

from networking_workflow.drivers.ovn import compare, facts, settings
from networking_workflow.drivers.ovn.expect import dhcp

METADATA_CIDR = "169.254.169.254/32"


def has_row(subnet: facts.Dict) -> bool:
    """Return whether OVN answers DHCP in this subnet at all; SLAAC needs no answers."""
    slaac = subnet["ip_version"] == 6 and subnet.get("ipv6_address_mode") == "slaac"
    return bool(subnet["enable_dhcp"]) and not slaac


def place(subnet_id: str) -> compare.Place:
    """Return where the subnet's row is."""
    return "DHCP_Options", subnet_id


def rows(known: facts.Subnet, options: settings.OvnSettings) -> tuple[compare.Row, ...]:
    """Return the subnet's row and one for each special port; without DHCP all are absent."""
    if not has_row(known.subnet):
        names = [known.subnet["id"], *(_own_name(known, port) for port in known.special_ports)]
        return tuple(_absent(name) for name in names)
    wanted = dhcp_options(known.subnet, known.network, known.metadata_ip, options)
    row = compare.Row(
        table="DHCP_Options",
        name=known.subnet["id"],
        columns={
            "cidr": known.subnet["cidr"],
            "options": compare.Keys(wanted=wanted, closed=True),
            "external_ids": compare.Keys(
                wanted={
                    "subnet_id": known.subnet["id"],
                    "neutron:network_id": known.network["id"],
                    "neutron:revision_number": str(known.subnet["revision_number"]),
                }
            ),
            "copies": 1,
        },
    )
    return (row, *_special(known, wanted, options))


def _special(
    known: facts.Subnet, wanted: typing.Mapping[str, typing.Any], options: settings.OvnSettings
) -> typing.Iterator[compare.Row]:
    version = known.subnet["ip_version"]
    for port in known.special_ports:
        own = dhcp.port_options(port, version, baremetal_dhcp=options.baremetal_dhcp)
        if own and port_subnet(port, {known.subnet["id"]: known.subnet}, version):
            yield port_row(port, known.subnet, wanted, own)
        else:
            yield _absent(_own_name(known, port))


def _own_name(known: facts.Subnet, port: facts.Dict) -> str:
    return f"{known.subnet['id']}/{port['id']}"


def _absent(name: str) -> compare.Row:
    return compare.Row(table="DHCP_Options", name=name, columns={}, absent=True)


def port_row(
    port: facts.Dict,
    subnet: facts.Dict,
    subnet_options: typing.Mapping[str, typing.Any],
    own: typing.Mapping[str, str],
) -> compare.Row:
    """Return the row of a port whose options ``own`` go over those of its subnet."""
    return compare.Row(
        table="DHCP_Options",
        name=f"{subnet['id']}/{port['id']}",
        columns={
            "cidr": subnet["cidr"],
            "options": compare.Keys(wanted=dhcp.merged(subnet_options, own), closed=True),
            "external_ids": compare.Keys(wanted={"subnet_id": subnet["id"], "port_id": port["id"]}),
            "copies": 1,
        },
    )


def port_subnet(
    port: facts.Dict, subnets: typing.Mapping[str, facts.Dict], version: int
) -> facts.Dict | None:
    """Return the subnet whose options a port gets: the first, for v6 the first stateful one."""
    candidates = [
        subnets[ip["subnet_id"]]
        for ip in port["fixed_ips"]
        if ip["subnet_id"] in subnets
        and subnets[ip["subnet_id"]]["ip_version"] == version
        and has_row(subnets[ip["subnet_id"]])
    ]
    stateful = [one for one in candidates if one.get("ipv6_address_mode") != "dhcpv6-stateless"]
    return next(iter(stateful or candidates), None)


def dhcp_options(
    subnet: facts.Dict, network: facts.Dict, metadata_ip: str, options: settings.OvnSettings
) -> dict[str, typing.Any]:
    """Return what the subnet's ports are told over DHCP."""
    if subnet["ip_version"] == 4:
        return _options_v4(subnet, network, metadata_ip, options)
    wanted: dict[str, typing.Any] = {"server_id": compare.AnyMac()}
    servers = _dns_servers(subnet, options)
    if servers:
        wanted["dns_server"] = _braced(servers)
    if subnet.get("ipv6_address_mode") == "dhcpv6-stateless":
        wanted["dhcpv6_stateless"] = "true"
    return _with_global(wanted, options.dhcp6_options, 6)


def _options_v4(
    subnet: facts.Dict, network: facts.Dict, metadata_ip: str, options: settings.OvnSettings
) -> dict[str, typing.Any]:
    gateway = subnet["gateway_ip"]
    if not (gateway or metadata_ip):
        return {}
    wanted: dict[str, typing.Any] = {
        "server_id": gateway or metadata_ip,
        "lease_time": options.lease_time_s,
        "mtu": str(network["mtu"]),
        "server_mac": compare.AnyMac(),
    }
    if options.dns_domain and options.dns_domain != "openstacklocal":
        wanted["domain_name"] = f'"{options.dns_domain}"'
    servers = _dns_servers(subnet, options)
    if servers:
        wanted["dns_server"] = _braced(servers)
    routes = [f"{METADATA_CIDR},{metadata_ip}"] if metadata_ip else []
    routes += [f"{route['destination']},{route['nexthop']}" for route in subnet["host_routes"]]
    if gateway:
        wanted["router"] = gateway
        # A client that is given routes ignores the router option (RFC 3442).
        routes += [f"0.0.0.0/0,{gateway}"] if routes else []
    if routes:
        wanted["classless_static_route"] = _braced(routes)
    return _with_global(wanted, options.dhcp4_options, 4)


def _with_global(
    wanted: dict[str, typing.Any], extra: typing.Mapping[str, str], version: int
) -> dict[str, typing.Any]:
    for name, value in extra.items():
        if name in ovn_const.GLOBAL_DHCP_OPTS_PROHIBIT_LIST[version]:
            continue
        if value:
            parts = value.split(";")
            wanted[name] = parts[0] if len(parts) == 1 else _braced(parts)
        else:
            wanted.pop(name, None)
    return wanted


def _dns_servers(subnet: facts.Dict, options: settings.OvnSettings) -> list[str]:
    version = subnet["ip_version"]
    servers = (
        list(subnet["dns_nameservers"] or ())
        or _of_version(options.dns_servers, version)
        or _of_version(options.resolvers, version)
    )
    nowhere = "0.0.0.0" if version == 4 else "::"
    return [] if servers == [nowhere] else servers


def _of_version(addresses: typing.Iterable[str], version: int) -> list[str]:
    return [one for one in addresses if ipaddress.ip_address(one).version == version]


def _braced(parts: typing.Iterable[str]) -> str:
    return "{" + ", ".join(parts) + "}"
