# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Damage to the Northbound database, one column or key at a time, made with ``ovn-nbctl`` alone."""

import dataclasses
import typing

from lab import ovn as lab_ovn
from networking_workflow import releases

Made = typing.Mapping[str, typing.Mapping[str, typing.Any]]


@dataclasses.dataclass(frozen=True, slots=True)
class Damage:
    """What is damaged, and how the driver must call it."""

    kind: str
    which: str  #: name in ``Made`` of the resource whose apply has to notice
    noticed: str  #: table and column as a difference names them
    command: typing.Callable[["Place"], typing.Sequence[str]]
    detail: str = ""  #: to tell two damages of one column apart

    def __str__(self) -> str:
        return f"{self.which} {self.noticed} {self.detail}".strip()


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Finds rows by what the API calls the resources."""

    ovn: lab_ovn.OvnCentral
    made: Made
    segment: str

    def id(self, name: str) -> str:
        return str(self.made[name]["id"])

    def switch(self, name: str) -> str:
        return f"neutron-{self.id(name)}"

    def group(self, name: str) -> str:
        return f"pg_{self.id(name)}".replace("-", "_")

    def addresses(self, name: str, version: int) -> str:
        return f"ag_{self.id(name)}_ip{version}".replace("-", "_")

    def localnet(self) -> str:
        return f"provnet-{self.segment}"

    def find(self, table: str, condition: str) -> str:
        """Return the UUID of the one row that fits."""
        found = self.ovn.nbctl("--bare", "--columns=_uuid", "find", table, condition).split()
        assert len(found) == 1, f"{table} {condition}: {found}"
        return found[0]

    def dhcp(self, subnet: str, port: str = "") -> str:
        """Return the UUID of a row of DHCP options: a subnet's, or one port's own."""
        own = f'external_ids:port_id="{self.id(port)}"' if port else "external_ids:port_id!=any"
        condition = f'external_ids:subnet_id="{self.id(subnet)}"'
        said = self.ovn.nbctl(
            "--bare", "--columns=_uuid", "find", "DHCP_Options", condition, *([own] if port else [])
        ).split()
        if port:
            return said[0]
        plain = [
            one
            for one in said
            if "port_id" not in self.ovn.nbctl("get", "DHCP_Options", one, "external_ids")
        ]
        assert len(plain) == 1
        return plain[0]

    def acl(self, rule: str) -> str:
        """Return the UUID of a rule's ACL."""
        key = "external_ids:neutron\\:security_group_rule_id"
        return self.find("ACL", f'{key}="{self.id(rule)}"')


def _set(table: str, row: typing.Callable[[Place], str], *values: str) -> typing.Any:
    return lambda place: ("set", table, row(place), *values)


def _key(name: str) -> str:
    return name.replace(":", "\\:")


def external_id(
    kind: str, which: str, table: str, row: typing.Callable[[Place], str], name: str
) -> Damage:
    return Damage(
        kind,
        which,
        f"{table} external_ids:{name}",
        _set(table, row, f"external_ids:{_key(name)}=damaged"),
    )


def networks() -> list[Damage]:
    """The switch and its localnet port."""
    kind, table = "network", "Logical_Switch"
    names = ("neutron:network_name", "neutron:mtu", "neutron:revision_number")
    names += ("neutron:availability_zone_hints", "neutron:provnet-network-type")
    names += ("neutron:provnet-physical-network",)
    result = [external_id(kind, "net", table, lambda p: p.switch("net"), one) for one in names]
    config = ("mcast_snoop", "mcast_flood_unregistered", "vlan-passthru", "fdb_age_threshold")
    result += [
        Damage(
            kind,
            "net",
            f"{table} other_config:{one}",
            _set(table, lambda p: p.switch("net"), f"other_config:{one}=7"),
        )
        for one in config
    ]
    result.append(
        Damage(
            kind,
            "net",
            f"{table} other_config:broadcast-arps-to-all-routers",
            _set(table, lambda p: p.switch("net"), "other_config:broadcast-arps-to-all-routers=1"),
        )
    )
    result.append(Damage(kind, "net", table, lambda p: ("ls-del", p.switch("net"))))
    result.append(
        Damage(
            kind,
            "net",
            f"{table} localnet ports",
            lambda p: (
                *("lsp-add", p.switch("net"), "provnet-x", "--"),
                *("lsp-set-type", "provnet-x", "localnet"),
            ),
        )
    )
    return result + _localnets()


def _localnets() -> list[Damage]:
    kind, table = "network", "Logical_Switch_Port"

    def row(place: Place) -> str:
        return place.localnet()

    options = ("network_name", "mcast_flood_reports", "mcast_flood", "localnet_learn_fdb")
    result = [
        Damage(kind, "net", f"{table} options:{one}", _set(table, row, f"options:{one}=7"))
        for one in options
    ]
    result += [
        Damage(kind, "net", f"{table} options:more", _set(table, row, "options:more=7")),
        Damage(kind, "net", f"{table} type", _set(table, row, "type=localport")),
        Damage(kind, "net", f"{table} addresses", _set(table, row, "addresses=router")),
        Damage(kind, "net", f"{table} tag_request", _set(table, row, "tag_request=9")),
        Damage(kind, "net", table, lambda p: ("lsp-del", p.localnet())),
        Damage(
            kind,
            "net",
            f"{table} switch",
            lambda p: (
                *("lsp-del", p.localnet(), "--"),
                *("lsp-add", p.switch("other-net"), p.localnet(), "--"),
                *("lsp-set-type", p.localnet(), "localnet"),
            ),
        ),
    ]
    if releases.northbound().localnets_name_network:
        result.append(external_id(kind, "net", table, row, "neutron:provnet-physical-network"))
    return result


def subnets() -> list[Damage]:
    """DHCP options of a v4 and a v6 subnet, and those of one port."""
    kind, table = "subnet", "DHCP_Options"
    four = ("server_id", "lease_time", "mtu", "server_mac", "dns_server", "router")
    four += ("classless_static_route", "more")
    result = [
        Damage(
            kind,
            "sub4",
            f"{table} options:{one}",
            _set(table, lambda p: p.dhcp("sub4"), f"options:{one}=7"),
        )
        for one in four
    ]
    six = ("server_id", "dns_server", "dhcpv6_stateless")
    result += [
        Damage(
            kind,
            "sub6",
            f"{table} options:{one}",
            _set(table, lambda p: p.dhcp("sub6"), f"options:{one}=7"),
        )
        for one in six
    ]
    result += [
        Damage(
            kind,
            "sub4",
            f"{table} cidr",
            _set(table, lambda p: p.dhcp("sub4"), "cidr=10.66.0.0/24"),
        ),
        Damage(kind, "sub4", table, lambda p: ("destroy", table, p.dhcp("sub4"))),
        Damage(kind, "sub6", table, lambda p: ("destroy", table, p.dhcp("sub6"))),
        Damage(
            kind,
            "sub4",
            f"{table} copies",
            lambda p: (
                *("create", table, "cidr=10.66.0.0/24"),
                f'external_ids:subnet_id="{p.id("sub4")}"',
            ),
        ),
        Damage(
            kind,
            "no-dhcp",
            table,
            lambda p: (
                *("create", table, "cidr=10.66.0.0/24"),
                f'external_ids:subnet_id="{p.id("no-dhcp")}"',
            ),
            "not wanted",
        ),
        external_id(kind, "sub4", table, lambda p: p.dhcp("sub4"), "neutron:network_id"),
        external_id(kind, "sub4", table, lambda p: p.dhcp("sub4"), "neutron:revision_number"),
        Damage(
            kind,
            "sub4",
            f"{table} options:mtu",
            _set(table, lambda p: p.dhcp("sub4", "special"), "options:mtu=7"),
            "of one port",
        ),
        Damage(
            kind,
            "sub4",
            f"{table} cidr",
            _set(table, lambda p: p.dhcp("sub4", "special"), "cidr=10.66.0.0/24"),
            "of one port",
        ),
    ]
    return result


def ports() -> list[Damage]:
    """A bound port in two groups, one with options of its own, a metadata port, a parent."""
    kind, table = "port", "Logical_Switch_Port"

    def row(place: Place) -> str:
        return place.id("vm")

    names = ("port_name", "device_id", "project_id", "cidrs", "device_owner", "network_name")
    names += ("subnet_pool_addr_scope4", "subnet_pool_addr_scope6", "security_group_ids")
    names += ("revision_number", "vnic_type", "port_capabilities", "mtu")
    result = [external_id(kind, "vm", table, row, f"neutron:{one}") for one in names]
    columns = (
        ("type", "type=localport"),
        ("addresses", "addresses=unknown"),
        ("port_security", "port_security=[]"),
        ("enabled", "enabled=false"),
        ("parent_name", "parent_name=x"),
        ("tag_request", "tag_request=9"),
        ("options:requested-chassis", "options:requested-chassis=elsewhere"),
        ("options:more", "options:more=7"),
        ("dhcpv4_options", "dhcpv4_options=[]"),
    )
    result += [
        Damage(kind, "vm", f"{table} {column}", _set(table, row, value))
        for column, value in columns
    ]
    result += [
        Damage(kind, "vm", table, lambda p: ("lsp-del", p.id("vm"))),
        Damage(
            kind,
            "vm6",
            f"{table} dhcpv6_options",
            _set(table, lambda p: p.id("vm6"), "dhcpv6_options=[]"),
        ),
        Damage(
            kind,
            "vm",
            f"{table} switch",
            lambda p: (
                *("lsp-del", p.id("vm"), "--"),
                *("lsp-add", p.switch("other-net"), p.id("vm")),
            ),
        ),
        *_memberships(),
        *_own_options(),
        *_virtual_ports(),
    ]
    return result


def _memberships() -> list[Damage]:
    noticed = "Logical_Switch_Port port groups"

    def leaves(group: typing.Callable[[Place], str]) -> typing.Any:
        return lambda p: (
            *("remove", "Port_Group", group(p), "ports"),
            p.find("Logical_Switch_Port", f'name="{p.id("vm")}"'),
        )

    return [
        Damage("port", "vm", noticed, leaves(lambda p: p.group("web")), "left"),
        Damage("port", "vm", noticed, leaves(lambda _p: "neutron_pg_drop"), "left drop"),
        Damage(
            "port",
            "vm",
            noticed,
            lambda p: (
                *("add", "Port_Group", p.group("other"), "ports"),
                p.find("Logical_Switch_Port", f'name="{p.id("vm")}"'),
            ),
            "entered",
        ),
        Damage("port", "vm", noticed, lambda _p: ("pg-del", "neutron_pg_drop"), "no drop"),
    ]


def _own_options() -> list[Damage]:
    kind, table = "port", "DHCP_Options"
    return [
        Damage(
            kind,
            "special",
            f"{table} options:ntp_server",
            _set(table, lambda p: p.dhcp("sub4", "special"), "options:ntp_server=7"),
        ),
        Damage(
            kind,
            "special",
            f"{table} options:more",
            _set(table, lambda p: p.dhcp("sub4", "special"), "options:more=7"),
        ),
        Damage(kind, "special", table, lambda p: ("destroy", table, p.dhcp("sub4", "special"))),
        Damage(
            kind,
            "special",
            f"{table} copies",
            lambda p: (
                *("create", table, "cidr=10.66.0.0/24"),
                f'external_ids:subnet_id="{p.id("sub4")}"',
                f'external_ids:port_id="{p.id("special")}"',
            ),
        ),
        Damage(
            kind,
            "vm",
            "Logical_Switch_Port own dhcp options",
            lambda p: (
                *("create", table, "cidr=10.66.0.0/24"),
                f'external_ids:subnet_id="{p.id("sub4")}"',
                f'external_ids:port_id="{p.id("vm")}"',
            ),
        ),
    ]


def _virtual_ports() -> list[Damage]:
    table = "Logical_Switch_Port"

    def row(place: Place) -> str:
        return place.id("vip")

    result = []
    for which in ("vip", "parent"):
        result += [
            Damage("port", which, f"{table} type", _set(table, row, 'type=""'), "of the vip"),
            Damage(
                "port",
                which,
                f"{table} options:virtual-ip",
                _set(table, row, "options:virtual-ip=10.1.0.66"),
            ),
            Damage(
                "port",
                which,
                f"{table} options:virtual-parents",
                _set(table, row, "options:virtual-parents=x"),
            ),
        ]
    return result


def groups() -> list[Damage]:
    """A port group with its ACLs, and a single rule."""
    kind, table = "security_group", "Port_Group"

    def row(place: Place) -> str:
        return place.group("web")

    result = [
        external_id(kind, "web", table, row, "neutron:security_group_id"),
        Damage(kind, "web", table, lambda p: ("pg-del", p.group("web"))),
        Damage(
            kind,
            "web",
            f"{table} rules' acls",
            lambda p: (
                *("--id=@acl", "create", "ACL", "direction=to-lport", "priority=1002"),
                *('match="ip6"', "action=allow"),
                *('external_ids:neutron\\:security_group_rule_id="x"', "--"),
                *("add", table, p.group("web"), "acls", "@acl"),
            ),
        ),
    ]
    for kind, which in (("security_group", "web"), ("security_group_rule", "rule")):
        result += [
            Damage(
                kind, which, "ACL action", _set("ACL", lambda p: p.acl("rule"), "action=reject")
            ),
            Damage(
                kind,
                which,
                "ACL",
                lambda p: ("remove", table, p.group("web"), "acls", p.acl("rule")),
                "gone",
            ),
            Damage(
                kind, which, "ACL", _set("ACL", lambda p: p.acl("rule"), 'match="ip4"'), "match"
            ),
            Damage(
                kind, which, "ACL", _set("ACL", lambda p: p.acl("rule"), "priority=7"), "priority"
            ),
            Damage(
                kind,
                which,
                "ACL",
                _set("ACL", lambda p: p.acl("rule"), "direction=from-lport"),
                "direction",
            ),
            external_id(
                kind, which, "ACL", lambda p: p.acl("rule"), "neutron:security_group_rule_id"
            ),
            Damage(kind, which, "ACL copies", _copied_acl),
        ]
    return result


def _copied_acl(place: Place) -> typing.Sequence[str]:
    match = place.ovn.nbctl("--bare", "get", "ACL", place.acl("rule"), "match").strip()
    return (
        *("--id=@acl", "create", "ACL", "direction=to-lport", "priority=1002"),
        *(f"match={match}", "action=allow-related"),
        *('external_ids:neutron\\:security_group_rule_id="x"', "--"),
        *("add", "Port_Group", place.group("web"), "acls", "@acl"),
    )


def address_groups() -> list[Damage]:
    """Both address sets."""
    kind, table = "address_group", "Address_Set"
    result = []
    for version, address in ((4, "192.0.2.66/32"), (6, "2001:db8:66::/64")):

        def row(place: Place, version: int = version) -> str:
            return place.addresses("hosts", version)

        result += [
            Damage(
                kind,
                "hosts",
                f"{table} addresses",
                _set(table, row, f'addresses="{address}"'),
                f"v{version}",
            ),
            Damage(
                kind,
                "hosts",
                table,
                lambda p, row=row: ("destroy", table, row(p)),
                f"v{version}",
            ),
            external_id(kind, "hosts", table, row, "neutron:address_group_id"),
            external_id(kind, "hosts", table, row, "neutron:revision_number"),
        ]
    return result


ALL = (*networks(), *subnets(), *ports(), *groups(), *address_groups())
