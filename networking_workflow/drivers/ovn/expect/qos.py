# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""QoS policies: one row a direction for each port or floating IP, or options of the port's row.

The name of a row is whose it is and its direction, as in ``neutron:port_id=<id> to-lport``
(``neutron/plugins/ml2/drivers/ovn/mech_driver/ovsdb/extensions/qos.py``).
"""

import dataclasses

from neutron.common.ovn import constants as ovn_const
from neutron.common.ovn import utils as ovn_utils
from neutron_lib import constants
from neutron_lib.services.qos import constants as qos_consts

from networking_workflow.drivers.ovn import compare, facts, facts_l3, facts_nat, settings

QOS = "QoS"
PRIORITY, FLOATING_IP_PRIORITY = 2002, 2003
_DIRECTIONS = {constants.EGRESS_DIRECTION: "from-lport", constants.INGRESS_DIRECTION: "to-lport"}

#: Rules of one direction by their type.
Rules = dict[str, facts.Dict]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Owner:
    key: str  #: of external_ids, which holds ``id``
    id: str
    network_id: str
    port_id: str  #: that the traffic goes through
    priority: int = PRIORITY
    address: str = ""  #: match this one only,
    resident_port: str = ""  #: where this port is


def port_rows(
    port: facts.Dict, network: facts.Dict, policy: facts.Dict | None
) -> tuple[compare.Row, ...]:
    """Return the rows of a port; none for ports that other agents shape."""
    if ovn_utils.is_port_external(port):
        return ()
    if not holds_for(port):
        # Without their match: a router's own rows have the same for its gateway port.
        return absent_rows(ovn_const.OVN_PORT_EXT_ID_KEY, port["id"])
    owner = _Owner(
        key=ovn_const.OVN_PORT_EXT_ID_KEY,
        id=port["id"],
        network_id=port["network_id"],
        port_id=port["id"],
    )
    rules = by_direction(policy)
    if _in_options(network, rules):
        egress = rules[constants.EGRESS_DIRECTION]
        egress.pop(qos_consts.RULE_TYPE_BANDWIDTH_LIMIT, None)
    return _rows(owner, rules)


def port_options(
    port: facts.Dict, network: facts.Dict, policy: facts.Dict | None
) -> dict[str, str]:
    """Return ``options`` of the port's row, in bit/s and bits: with a guaranteed rate only."""
    if ovn_utils.is_port_external(port) or not holds_for(port):
        return {}
    rules = by_direction(policy)
    if not _in_options(network, rules):
        return {}
    egress = rules[constants.EGRESS_DIRECTION]
    limit = egress.get(qos_consts.RULE_TYPE_BANDWIDTH_LIMIT, {})
    guaranteed = egress[qos_consts.RULE_TYPE_MINIMUM_BANDWIDTH]
    rates = {
        ovn_const.LSP_OPTIONS_QOS_MAX_RATE: limit.get("max_kbps"),
        ovn_const.LSP_OPTIONS_QOS_BURST: limit.get("max_burst_kbps"),
        ovn_const.LSP_OPTIONS_QOS_MIN_RATE: guaranteed["min_kbps"],
    }
    return {name: str(kbit * constants.SI_BASE) for name, kbit in rates.items() if kbit}


def holds_for(port: facts.Dict) -> bool:
    """Return whether a policy may hold for a port: not for those of routers, DHCP and the like."""
    return not ovn_utils.is_network_device_port(port)


def floatingip_rows(
    known: facts_nat.FloatingIp, options: settings.OvnSettings
) -> tuple[compare.Row, ...]:
    """Return the rows of a floating IP: on its network, where the router's gateway is."""
    floatingip = known.floatingip
    gateway = (known.router or {}).get("gw_port_id") or ""
    resident = ovn_utils.ovn_cr_lrouter_port_name(gateway)
    if options.distributed_floating_ips and floatingip["port_id"]:
        resident = floatingip["port_id"]
    owner = _Owner(
        key=ovn_const.OVN_FIP_EXT_ID_KEY,
        id=floatingip["id"],
        network_id=floatingip["floating_network_id"],
        port_id=gateway,
        priority=FLOATING_IP_PRIORITY,
        address=floatingip["floating_ip_address"],
        resident_port=resident,
    )
    return _rows(owner, by_direction(known.policy if gateway else None))


def gateway_rows(known: facts_l3.Router) -> tuple[compare.Row, ...]:
    """Return the rows of a router: for all that goes through its gateway port."""
    router = known.router
    gateway = router.get("gw_port_id")
    if not gateway:
        return absent_rows(ovn_const.OVN_ROUTER_ID_EXT_ID_KEY, known.id)
    owner = _Owner(
        key=ovn_const.OVN_ROUTER_ID_EXT_ID_KEY,
        id=known.id,
        network_id=router["external_gateway_info"]["network_id"],
        port_id=gateway,
    )
    return _rows(owner, by_direction(known.policy))


def absent_rows(key: str, resource_id: str) -> tuple[compare.Row, ...]:
    """Return the rows that must not be there any more: of a resource without a policy."""
    return tuple(
        compare.Row(table=QOS, name=f"{key}={resource_id} {one}", columns={}, absent=True)
        for one in _DIRECTIONS.values()
    )


def by_direction(policy: facts.Dict | None) -> dict[str, Rules]:
    """Return the policy's rules by direction, then by type; marks are for what a port sends."""
    rules: dict[str, Rules] = {direction: {} for direction in _DIRECTIONS}
    for rule in policy["rules"] if policy else ():
        direction = rule.get("direction", constants.EGRESS_DIRECTION)
        if direction in rules:
            rules[direction][rule["type"]] = rule
    return rules


def _in_options(network: facts.Dict, rules: dict[str, Rules]) -> bool:
    physical = network.get("provider:network_type") in constants.TYPE_PHYSICAL
    egress = rules[constants.EGRESS_DIRECTION]
    return physical and qos_consts.RULE_TYPE_MINIMUM_BANDWIDTH in egress


def _rows(owner: _Owner, rules: dict[str, Rules]) -> tuple[compare.Row, ...]:
    return tuple(_row(owner, direction, rules[direction]) for direction in _DIRECTIONS)


def _row(owner: _Owner, direction: str, rules: Rules) -> compare.Row:
    bandwidth, action = {}, {}
    limit = rules.get(qos_consts.RULE_TYPE_BANDWIDTH_LIMIT)
    if limit:
        bandwidth["rate"] = limit["max_kbps"]
        if limit.get("max_burst_kbps"):
            bandwidth["burst"] = limit["max_burst_kbps"]
    mark = rules.get(qos_consts.RULE_TYPE_DSCP_MARKING)
    if mark:
        action["dscp"] = mark["dscp_mark"]
    return compare.Row(
        table=QOS,
        name=f"{owner.key}={owner.id} {_DIRECTIONS[direction]}",
        columns={
            "switch": ovn_utils.ovn_name(owner.network_id),
            "copies": 1,
            "priority": owner.priority,
            "match": _match(owner, direction),
            "bandwidth": compare.Keys(wanted=bandwidth, closed=True),
            "action": compare.Keys(wanted=action, closed=True),
            "external_ids": compare.Keys(wanted={owner.key: owner.id}),
        },
        absent=not bandwidth and not action,
    )


def _match(owner: _Owner, direction: str) -> str:
    sends = direction == constants.EGRESS_DIRECTION
    match = f'{"inport" if sends else "outport"} == "{owner.port_id}"'
    if owner.address:
        match += f" && ip4.{'src' if sends else 'dst'} == {owner.address}"
        match += f' && is_chassis_resident("{owner.resident_port}")'
    return match
