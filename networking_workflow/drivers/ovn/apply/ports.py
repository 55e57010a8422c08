# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Ports: the logical switch port, its port groups and DHCP options, and those it is a parent of."""

import copy
import dataclasses
import typing

from neutron.common.ovn import constants as ovn_const
from neutron.conf.plugins.ml2.drivers.ovn import ovn_conf
from neutron_lib import constants

from networking_workflow.drivers.ovn import facts, observe, reads, refs, seams
from networking_workflow.drivers.ovn.apply import dns, drop_group, logs, qos, subnets
from networking_workflow.drivers.ovn.apply import work as apply_work
from networking_workflow.drivers.ovn.expect import dns as expect_dns
from networking_workflow.drivers.ovn.expect import networks as expect_networks
from networking_workflow.drivers.ovn.expect import ports as expect_ports
from networking_workflow.drivers.ovn.expect import qos as expect_qos
from networking_workflow.drivers.ovn.expect import security_groups as expect_groups
from networking_workflow.model import errors

_LSP = "Logical_Switch_Port"
_GROUPS = ovn_const.OVN_SG_IDS_EXT_ID_KEY


def apply(work: apply_work.Work) -> apply_work.Applied:
    """Make OVN hold the port; return its DNS records, which only it knows to be its own.

    :raises MissingReference: if OVN lacks the network, a security group, or a subnet's DHCP
        options that the port is to refer to.
    """
    known = facts.read_port(
        work.plugin,
        work.context,
        work.target.resource_id,
        metadata=work.settings.metadata_enabled,
    )
    if expect_ports.ignored(known.port):
        return None
    known = dataclasses.replace(known, lost_records=dns.lost(work, known))
    _require_references(work, known)
    _converge(work, known)
    logs.follow_port(work, known.port["id"])
    work.bump_revision(known.port, ovn_const.TYPE_PORTS)
    _tell_neutron(work, known.port)
    records = expect_dns.records(known.port, known.network)
    return {"dns": records, "network_id": known.port["network_id"]} if records else None


def delete(work: apply_work.Work) -> None:
    """Make OVN forget the port, with its DHCP options and its place among virtual parents."""
    port_id = work.target.resource_id
    lsp = observe.row(work.nb, _LSP, port_id)
    if lsp is not None and _finds_switch(work, lsp):
        work.client.delete_port(work.context, port_id)
        work.connections.catch_up(work.pair)
    _remove_rest(work, port_id)
    dns.remove(work)
    qos.remove(work, port_id)
    logs.follow_port(work, port_id)
    work.forget_revision(port_id, ovn_const.TYPE_PORTS)


def _finds_switch(work: apply_work.Work, lsp: typing.Any) -> bool:
    """Whether stock will find the port's switch: by an external id, which may be damaged."""
    name = lsp.external_ids.get(ovn_const.OVN_NETWORK_NAME_EXT_ID_KEY, "")
    switch = observe.row(work.nb, "Logical_Switch", name)
    return switch is not None and refs.refers_to(switch, "ports", lsp)


def _remove_rest(work: apply_work.Work, port_id: str) -> None:
    """Remove what is left."""
    lsp = observe.row(work.nb, _LSP, port_id)
    if lsp is not None:
        switch = observe.switch_of(work.nb, lsp, "")
        work.nb.delete_lswitch_port(port_id, switch).execute(check_error=True)
    rows = observe.own_dhcp_rows(work.nb, port_id)
    if rows:
        with work.nb.transaction(check_error=True) as txn:
            for uuid in [one.uuid for one in rows]:
                txn.add(work.nb.delete_dhcp_options(uuid))


def _require_references(work: apply_work.Work, known: facts.Port) -> None:
    network_id = known.port["network_id"]
    switch = expect_networks.switch_name(network_id)
    if observe.row(work.nb, "Logical_Switch", switch) is None:
        raise errors.MissingReference(
            "network", network_id, f"OVN does not have the port's switch {switch}."
        )
    groups = expect_ports.port_groups(known.port)
    for group_id in known.port.get("security_groups") or ():
        name = expect_groups.group_name(group_id)
        if name in groups and observe.row(work.nb, "Port_Group", name) is None:
            raise errors.MissingReference(
                "security_group", group_id, f"OVN does not have the port group {name}."
            )
    if expect_ports.DROP_GROUP in groups:
        drop_group.ensure(work)
    links = expect_ports.dhcp_links(known, work.settings)
    for name in filter(None, (links.v4, links.v6)):
        subnet_id = name.split("/")[0]
        if not work.nb.get_subnet_dhcp_options(subnet_id)["subnet"]:
            raise errors.MissingReference(
                "subnet", subnet_id, f"OVN does not have the DHCP options of subnet {subnet_id}."
            )


def _converge(work: apply_work.Work, known: facts.Port) -> None:
    current = [known]
    movable = known.port.get("binding:vif_type") == "unbound"

    def wanted() -> apply_work.Rows:
        return expect_ports.rows(current[0], work.settings)

    def write(found: apply_work.Differences) -> None:
        _write(work, current[0], found)
        if movable:
            # A parent may have come or gone meanwhile, and have written this row before us.
            ip, parents = facts.virtual_parents(work.plugin, work.context, known.port)
            current[0] = dataclasses.replace(known, virtual_ip=ip, virtual_parents=parents)

    apply_work.converge(work, wanted, write)


def _write(work: apply_work.Work, known: facts.Port, found: apply_work.Differences) -> None:
    port_id = known.port["id"]
    mine = [one for one in found if one.name == port_id or one.table == "DHCP_Options"]
    if any(one.column == "switch" for one in mine):
        _remove_rest(work, port_id)
        work.connections.catch_up(work.pair)
    if mine:
        # OVNClient writes into the dict: a copy, so that what is expected stays as it is.
        port = copy.deepcopy({**known.port, "network": known.network})
        lsp = observe.row(work.nb, _LSP, port_id)
        with seams.revision_bumped_later(), reads.known_subnets(known.subnets):
            if lsp is None:
                work.client.create_port(work.context, port)
            else:
                _forget_lost_groups(work, lsp)
                work.client.update_port(work.context, port)
        work.connections.catch_up(work.pair)
    _write_port_groups(work, known)
    _write_own_dhcp(work, known)
    _write_qos(work, known)
    dns.write(work, known, found)
    with work.nb.transaction(check_error=True) as txn:
        for child, virtual_ip in known.virtual_children.items():
            txn.add(
                work.nb.set_lswitch_port_to_virtual_type(child, virtual_ip, port_id, if_exists=True)
            )


def _forget_lost_groups(work: apply_work.Work, lsp: typing.Any) -> None:
    """Take groups that OVN does not have any more off the port's row: stock wants to leave them."""
    groups = lsp.external_ids.get(_GROUPS, "").split()
    names = {one: expect_groups.group_name(one) for one in groups}
    kept = [one for one in groups if observe.row(work.nb, "Port_Group", names[one]) is not None]
    if kept != groups:
        work.nb.db_set(_LSP, lsp.uuid, ("external_ids", {_GROUPS: " ".join(kept)})).execute(
            check_error=True
        )


def _write_port_groups(work: apply_work.Work, known: facts.Port) -> None:
    """Mend memberships: stock compares with what the port's own row says, not with the groups."""
    lsp = work.nb.lookup(_LSP, known.port["id"])
    with work.nb.ovsdb_connection.lock:
        there = observe.port_groups(work.nb, lsp)
    wanted = expect_ports.port_groups(known.port)
    with work.nb.transaction(check_error=True) as txn:
        for name in wanted - there:
            txn.add(work.nb.pg_add_ports(name, lsp.uuid))
        for name in there - wanted:
            txn.add(work.nb.pg_del_ports(name, lsp.uuid))


def _write_own_dhcp(work: apply_work.Work, known: facts.Port) -> None:
    """Mend rows of DHCP options that only this port has, and remove those it must not have."""
    links = expect_ports.dhcp_links(known, work.settings)
    for row in links.own:
        subnets.write_own_row(work, row)
    names = {row.name for row in links.own}
    with work.nb.transaction(check_error=True) as txn:
        for one in observe.own_dhcp_rows(work.nb, known.port["id"]):
            if observe.dhcp_name(one) not in names:
                txn.add(work.nb.delete_dhcp_options(one.uuid))


def _write_qos(work: apply_work.Work, known: facts.Port) -> None:
    """Write QoS rows and rates: stock does at a change of the policy only."""
    qos.write(work, expect_ports.rows(known, work.settings))
    if expect_ports.has_qos(known.port) and not expect_ports.is_router_port(known.port):
        options = expect_qos.port_options(known.port, known.network, known.policy)
        qos.write_options(work, known.port["id"], options)


def _tell_neutron(work: apply_work.Work, port: facts.Dict) -> None:
    """Do what stock does after its write: end the DHCP block, and release a live migration."""
    work.mech_driver._notify_dhcp_updated(work.context, port["id"])
    if port["status"] != constants.PORT_STATUS_DOWN or port["binding:vif_type"] == "unbound":
        return
    migrates = ovn_const.MIGRATING_ATTR in (port.get("binding:profile") or {})
    waits_for_tap = ovn_conf.is_ovs_create_tap() and port["binding:vif_type"] == "ovs"
    if migrates and not waits_for_tap:
        # Nova waits for this event before it starts the migration.
        work.plugin.update_port_status(work.context, port["id"], constants.PORT_STATUS_ACTIVE)
