# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What the Northbound database must hold for one resource, or must not hold once it is deleted.

Facts and expectations put together, kind by kind, for who only compares. What an apply converges on
is the same; it interleaves that with its writes.
"""

import collections.abc
import dataclasses
import typing

from neutron.common.ovn import constants as ovn_const
from neutron.common.ovn import utils as ovn_utils

from networking_workflow.drivers import protocol
from networking_workflow.drivers.ovn import compare, facts, facts_l3, observe
from networking_workflow.drivers.ovn.apply import (
    dns,
    floatingips,
    logs,
    port_forwardings,
    qos,
    reached,
    router_interfaces,
    security_groups,
    subnets,
    trunks,
)
from networking_workflow.drivers.ovn.apply import work as apply_work
from networking_workflow.drivers.ovn.expect import address_groups as expect_address_groups
from networking_workflow.drivers.ovn.expect import networks as expect_networks
from networking_workflow.drivers.ovn.expect import ports as expect_ports
from networking_workflow.drivers.ovn.expect import qos as expect_qos
from networking_workflow.drivers.ovn.expect import routers as expect_routers
from networking_workflow.drivers.ovn.expect import security_groups as expect_groups
from networking_workflow.drivers.ovn.expect import subnets as expect_subnets
from networking_workflow.drivers.ovn.expect import trunks as expect_trunks

Rows = tuple[compare.Row, ...]
Work = apply_work.Work

_SWITCH, _LSP, _DHCP = "Logical_Switch", "Logical_Switch_Port", "DHCP_Options"
_MTU = ovn_const.OVN_NETWORK_MTU_EXT_ID_KEY


def _nothing(_work: Work) -> tuple[()]:
    return ()


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """One type of resource."""

    rows: collections.abc.Callable[[Work], Rows]  #: where it is
    without: collections.abc.Callable[[Work], Rows]  #: where it was
    unlike: collections.abc.Callable[[Work], collections.abc.Iterable[protocol.Reached]] = _nothing
    """Other resources that OVN does not hold as this one wants them."""


def _absent(table: str, *names: str) -> Rows:
    return tuple(compare.Row(table=table, name=name, columns={}, absent=True) for name in names)


# -- networks and subnets --------------------------------------------------------------------------


def _network(work: Work) -> Rows:
    network_id = work.target.resource_id
    known = facts.read_network(work.plugin, work.context, network_id)
    rows = expect_networks.rows(known, work.settings)
    return (*rows, *_mtu_in_dhcp(work, network_id), *_mtu_of_ports(work, known.network))


def _mtu_in_dhcp(work: Work, network_id: str) -> collections.abc.Iterator[compare.Row]:
    """Yield what DHCP tells of the network: the rest of these rows is the subnets' and ports'."""
    for subnet in work.plugin.get_subnets_by_network(work.context, network_id):
        for row in expect_subnets.rows(subnets.read(work, subnet["id"]), work.settings):
            mtu = None if row.absent else row.columns["options"].wanted.get("mtu")
            if mtu is not None:
                columns = {"options": compare.Keys(wanted={"mtu": mtu})}
                yield compare.Row(table=_DHCP, name=row.name, columns=columns, optional=True)


def _mtu_of_ports(work: Work, network: facts.Dict) -> collections.abc.Iterator[compare.Row]:
    """Yield a row for each port that is told another MTU than its network's."""
    switch = observe.row(work.nb, _SWITCH, expect_networks.switch_name(network["id"]))
    for port in switch.ports if switch is not None else ():
        if port.external_ids.get(_MTU, "") not in ("", str(network["mtu"])):
            columns = {"external_ids": compare.Keys(wanted={_MTU: str(network["mtu"])})}
            yield compare.Row(table=_LSP, name=str(port.name), columns=columns, optional=True)


def _of_network(work: Work) -> collections.abc.Iterable[protocol.Reached]:
    return qos.of_network(work, work.plugin.get_network(work.context, work.target.resource_id))


def _no_network(work: Work) -> Rows:
    return _absent(_SWITCH, expect_networks.switch_name(work.target.resource_id))


def _subnet(work: Work) -> Rows:
    return expect_subnets.rows(subnets.read(work, work.target.resource_id), work.settings)


def _of_subnet(work: Work) -> collections.abc.Iterable[protocol.Reached]:
    return reached.by_gateway(work, subnets.read(work, work.target.resource_id))


def _no_subnet(work: Work) -> Rows:
    left = {observe.dhcp_name(one) for one in observe.dhcp_rows(work.nb, work.target.resource_id)}
    return _absent(_DHCP, *sorted(left))


# -- ports -----------------------------------------------------------------------------------------


def _port(work: Work) -> Rows:
    metadata = work.settings.metadata_enabled
    port_id = work.target.resource_id
    known = facts.read_port(work.plugin, work.context, port_id, metadata=metadata)
    if expect_ports.ignored(known.port):
        return ()
    known = dataclasses.replace(known, lost_records=dns.lost(work, known))
    return expect_ports.rows(known, work.settings)


def _no_port(work: Work) -> Rows:
    port_id = work.target.resource_id
    own = {observe.dhcp_name(one) for one in observe.own_dhcp_rows(work.nb, port_id)}
    switch, names = dns.left(work)
    columns = {"records": compare.Keys(wanted={}, unwanted=names)}
    return (
        *_absent(_LSP, port_id),
        *_absent(_DHCP, *sorted(own)),
        *expect_qos.absent_rows(ovn_const.OVN_PORT_EXT_ID_KEY, port_id),
        *([compare.Row(table="DNS", name=switch, columns=columns, optional=True)] if names else ()),
    )


# -- security groups -------------------------------------------------------------------------------


def _group(work: Work) -> Rows:
    known = facts.read_security_group(work.plugin, work.context, work.target.resource_id)
    return expect_groups.rows(security_groups.logged(work, known), work.settings)


def _no_group(work: Work) -> Rows:
    return _absent("Port_Group", expect_groups.group_name(work.target.resource_id))


def _rule(work: Work) -> Rows:
    known = facts.read_security_group_rule(work.plugin, work.context, work.target.resource_id)
    return expect_groups.rule_rows(security_groups.logged(work, known), work.settings)


def _no_rule(work: Work) -> Rows:
    left = security_groups.left_of_rule(work)
    if left is None:
        return ()
    rows = _absent("ACL", *sorted(left.acls))
    if left.twin is not None:
        twin = security_groups.logged(work, left.twin)
        rows += expect_groups.rule_rows(twin, work.settings)
    return rows


def _address_group(work: Work) -> Rows:
    group = work.plugin.get_address_group(work.context, work.target.resource_id)
    return expect_address_groups.rows(group)


def _no_address_group(work: Work) -> Rows:
    names = (expect_address_groups.set_name(work.target.resource_id, one) for one in (4, 6))
    return _absent("Address_Set", *names)


# -- routers and what is behind them ---------------------------------------------------------------


def _router(work: Work) -> Rows:
    known = facts_l3.read_router(work.plugin, work.context, work.target.resource_id)
    return _router_rows(work, known)


def _router_rows(work: Work, known: facts_l3.Router) -> Rows:
    if not ovn_utils.is_ovn_provider_router(known.router):
        return ()
    return expect_routers.rows(known, work.settings)


def _no_router(work: Work) -> Rows:
    router_id = work.target.resource_id
    return (
        *_absent(expect_routers.ROUTER, expect_routers.router_name(router_id)),
        *expect_qos.absent_rows(ovn_const.OVN_ROUTER_ID_EXT_ID_KEY, router_id),
    )


def _interface(work: Work) -> Rows:
    port_id = work.target.resource_id
    router_id = facts_l3.router_of(work.context, port_id)
    known = facts_l3.read_router(work.plugin, work.context, router_id)
    rows = _router_rows(work, known)
    for one in known.interfaces if rows else ():
        if one.port["id"] == port_id:
            rows += expect_routers.port_rows(known, one, work.settings)
    return rows


def _no_interface(work: Work) -> Rows:
    rows = _absent(expect_routers.PORT, expect_routers.port_name(work.target.resource_id))
    known = router_interfaces.router_left(work)
    return rows + _router_rows(work, known) if known is not None else rows


def _floatingip(work: Work) -> Rows:
    return floatingips.rows_with(work, work.target.resource_id)


def _no_floatingip(work: Work) -> Rows:
    return floatingips.rows_without(work, work.target.resource_id)


def _forwarding(work: Work) -> Rows:
    """Return the rows of the forwarding's floating IP, which are all that it is."""
    floatingip_id = port_forwardings.floatingip_of(work)
    if not floatingip_id:
        return ()
    if not facts_l3.l3_plugin().get_floatingips(work.context, filters={"id": [floatingip_id]}):
        return floatingips.rows_without(work, floatingip_id)
    return floatingips.rows_with(work, floatingip_id)


# -- the rest --------------------------------------------------------------------------------------


def _of_policy(work: Work) -> collections.abc.Iterable[protocol.Reached]:
    return qos.of_policy(work, work.target.resource_id)


def _trunk(work: Work) -> Rows:
    return _trunk_rows(work, trunks.read(work, work.target.resource_id))


def _subport(work: Work) -> Rows:
    return _trunk_rows(work, trunks.read(work, trunks.read_subport(work).trunk_id))


def _trunk_rows(work: Work, trunk: typing.Any) -> Rows:
    if not work.mech_driver.trunk_driver._handler._parent_port_handled_by_ovn(trunk.port_id):
        return ()
    subports = [expect_trunks.Subport(one.port_id, one.segmentation_id) for one in trunk.sub_ports]
    return expect_trunks.rows(trunk.port_id, subports)


def _no_trunk(work: Work) -> Rows:
    deleted = (work.target.snapshot or {}).get("deleted") or {}
    ids = [subport["port_id"] for subport in deleted.get("sub_ports") or ()]
    return expect_trunks.free_rows(trunks.no_subports(work, ids))


def _no_subport(work: Work) -> Rows:
    return expect_trunks.free_rows(trunks.no_subports(work, [work.target.resource_id]))


KINDS: dict[str, Kind] = {
    "network": Kind(_network, _no_network, _of_network),
    "subnet": Kind(_subnet, _no_subnet, _of_subnet),
    "port": Kind(_port, _no_port),
    "security_group": Kind(_group, _no_group),
    "security_group_rule": Kind(_rule, _no_rule),
    "address_group": Kind(_address_group, _no_address_group),
    "router": Kind(_router, _no_router),
    "router_interface": Kind(_interface, _no_interface),
    "floatingip": Kind(_floatingip, _no_floatingip),
    "port_forwarding": Kind(_forwarding, _forwarding),
    "log": Kind(logs.rows_with, logs.rows_without),
    "qos_policy": Kind(_nothing, _nothing, _of_policy),
    "trunk": Kind(_trunk, _no_trunk),
    "subport": Kind(_subport, _no_subport),
}
