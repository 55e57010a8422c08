# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A security group: a port group with one ACL for each set of equal rules.

Rules are equal if their matches are: a prefix counts without its host bits. Such rules share one
ACL, which carries the id of one of them. Who is in the port group is said by the ports; what of the
ACLs is logged, and by which ACLs more, by ``expect.logs``.
"""

import collections
import ipaddress

from neutron.common.ovn import utils as ovn_utils
from neutron_lib import constants

from networking_workflow.drivers.ovn import compare, facts, facts_logs, settings
from networking_workflow.drivers.ovn.expect import logs as expect_logs

PRIORITY = 1002
_NUMBERS = {str(name): str(number) for name, number in constants.IP_PROTOCOL_MAP.items()}
_PORTS = {_NUMBERS[name]: name for name in ("tcp", "udp", "sctp")}
_ICMP = {_NUMBERS[name] for name in ("icmp", "ipv6-icmp")}
_DIRECTIONS = {"ingress": ("to-lport", "outport", "src"), "egress": ("from-lport", "inport", "dst")}
_VERSIONS = {"IPv4": ("ip4", "icmp4"), "IPv6": ("ip6", "icmp6")}


def group_name(group_id: str) -> str:
    """Return the port group's name."""
    return str(ovn_utils.ovn_port_group_name(group_id))


def rows(known: facts.SecurityGroup, options: settings.OvnSettings) -> tuple[compare.Row, ...]:
    """Return the port group, then its ACLs."""
    group, logs = known.group, known.logs
    by_place = collections.defaultdict(list)
    for rule in group["security_group_rules"]:
        by_place[acl_name(rule)].append(rule)
    logged = _logged(logs, group, options)
    acls = tuple(_acl(name, rules, group, logged) for name, rules in by_place.items())
    row = compare.Row(
        table="Port_Group",
        name=group_name(group["id"]),
        columns={
            "external_ids": compare.Keys(wanted={"neutron:security_group_id": group["id"]}),
            "rules' acls": frozenset(acl.name for acl in acls),
        },
    )
    if logs is None:
        return (row, *acls)
    return (row, *acls, *expect_logs.drop_rows(logs, group["id"], _stateful(group), options))


def rule_rows(
    known: facts.SecurityGroupRule, options: settings.OvnSettings
) -> tuple[compare.Row, ...]:
    """Return the one ACL of the rule, which it may share with equal rules of its group."""
    name = acl_name(known.rule)
    equal = [one for one in known.group["security_group_rules"] if acl_name(one) == name]
    logged = _logged(known.logs, known.group, options)
    return (_acl(name, [known.rule, *equal], known.group, logged),)


def acl_name(rule: facts.Dict) -> str:
    """Return what identifies the rule's ACL: its port group, direction, priority and match."""
    direction, _port, _side = _DIRECTIONS[rule["direction"]]
    group = group_name(rule["security_group_id"])
    return f"{group} {direction} {PRIORITY} {match(rule)}"


def match(rule: facts.Dict) -> str:
    """Return the rule as an OVN match."""
    _direction, port, side = _DIRECTIONS[rule["direction"]]
    version, icmp = _VERSIONS[rule["ethertype"]]
    parts = [f"{port} == @{group_name(rule['security_group_id'])}", version]
    if rule["remote_ip_prefix"]:
        prefix = ipaddress.ip_network(str(rule["remote_ip_prefix"]), strict=False)
        parts.append(f"{version}.{side} == {prefix}")
    if rule["remote_group_id"]:
        name = ovn_utils.ovn_pg_addrset_name(rule["remote_group_id"], version)
        parts.append(f"{version}.{side} == ${name}")
    if rule.get("remote_address_group_id"):
        name = ovn_utils.ovn_ag_addrset_name(rule["remote_address_group_id"], version)
        parts.append(f"{version}.{side} == ${name}")
    return " && ".join(parts + _protocol(rule, icmp))


def _protocol(rule: facts.Dict, icmp: str) -> list[str]:
    if rule["protocol"] is None:
        return []
    number = _NUMBERS.get(str(rule["protocol"]), str(rule["protocol"]))
    low, high = rule["port_range_min"], rule["port_range_max"]
    if number in _PORTS:
        return [_PORTS[number], *_port_range(_PORTS[number], low, high)]
    if number in _ICMP:
        fields = ((f"{icmp}.type", low), (f"{icmp}.code", high))
        return [icmp, *(f"{field} == {value}" for field, value in fields if value is not None)]
    return [f"ip.proto == {number}"]


def _port_range(protocol: str, low: int | None, high: int | None) -> list[str]:
    if low is not None and low == high:
        return [f"{protocol}.dst == {low}"]
    bounds = ((">=", low), ("<=", high))
    return [f"{protocol}.dst {sign} {port}" for sign, port in bounds if port is not None]


def _stateful(group: facts.Dict) -> bool:
    return bool(group.get("stateful", True))


def _logged(
    logs: facts_logs.Logs | None, group: facts.Dict, options: settings.OvnSettings
) -> facts.Dict:
    if logs is None:
        return {}
    return expect_logs.rule_columns(logs, group["id"], _stateful(group), options)


def _acl(name: str, rules: list[facts.Dict], group: facts.Dict, logged: facts.Dict) -> compare.Row:
    return compare.Row(
        table="ACL",
        name=name,
        columns={
            "action": "allow-related" if _stateful(group) else "allow-stateless",
            "external_ids": compare.Keys(
                wanted={
                    "neutron:security_group_rule_id": compare.OneOf(
                        frozenset(str(rule["id"]) for rule in rules)
                    )
                }
            ),
            "copies": 1,
            "other acls of the rule": frozenset(),
            **logged,
        },
    )
