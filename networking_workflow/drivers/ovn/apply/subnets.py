# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Subnets: their DHCP options, the links to them, and the metadata port's address in Neutron.

Stock's create leaves the options to the metadata port's update and skips them if that changes
nothing (``ovn_client.py`` ``create_subnet``); here they are made in any case.
"""

import typing

from neutron.common.ovn import constants as ovn_const
from neutron_lib.utils import net
from oslo_config import cfg

from networking_workflow.drivers.ovn import compare, facts, observe
from networking_workflow.drivers.ovn.apply import reached
from networking_workflow.drivers.ovn.apply import work as apply_work
from networking_workflow.drivers.ovn.expect import networks as expect_networks
from networking_workflow.drivers.ovn.expect import subnets as expect_subnets
from networking_workflow.model import errors


def apply(work: apply_work.Work) -> None:
    """Make OVN hold the subnet's DHCP options, or none if DHCP is off.

    :raises MissingReference: if OVN does not have the network.
    """
    known = read(work, work.target.resource_id)
    _require_network(work, known)
    if _metadata_address_differs(work, known):
        # Changes the metadata port's row, so a workflow of that port follows.
        work.client.update_metadata_port(work.context, known.network, subnet=known.subnet)
        known = read(work, work.target.resource_id)
    wanted = expect_subnets.rows(known, work.settings)
    apply_work.converge(work, lambda: wanted, lambda found: _write(work, known, wanted, found))
    work.target.fan_out(reached.by_gateway(work, known))
    work.bump_revision(known.subnet, ovn_const.TYPE_SUBNETS)


def delete(work: apply_work.Work) -> None:
    """Make OVN forget the subnet's DHCP options, and those of its ports."""
    subnet_id = work.target.resource_id
    _delete_rows(work, observe.dhcp_rows(work.nb, subnet_id))
    work.forget_revision(subnet_id, ovn_const.TYPE_SUBNETS)


def apply_own_rows(work: apply_work.Work, subnet_id: str) -> None:
    """Make OVN hold the DHCP options that single ports of a subnet have, and those only.

    Stock does not carry a change of the subnet or the network to them.
    """
    known = read(work, subnet_id)
    if not known.special_ports:
        return
    _subnet, *wanted = expect_subnets.rows(known, work.settings)
    rows = tuple(wanted)
    apply_work.converge(work, lambda: rows, lambda found: _mend(work, rows, found))


def read(work: apply_work.Work, subnet_id: str) -> facts.Subnet:
    """Return the subnet's facts; its special ports are those that have rows in OVN.

    :raises SubnetNotFound: if its row is gone.
    """
    special = {
        row.external_ids["port_id"]
        for row in observe.dhcp_rows(work.nb, subnet_id)
        if "port_id" in row.external_ids
    }
    return facts.read_subnet(
        work.plugin,
        work.context,
        subnet_id,
        metadata=work.settings.metadata_enabled,
        special_port_ids=sorted(special),
    )


def _require_network(work: apply_work.Work, known: facts.Subnet) -> None:
    name = expect_networks.switch_name(known.network["id"])
    if observe.row(work.nb, "Logical_Switch", name) is None:
        raise errors.MissingReference(
            "network", known.network["id"], f"OVN does not have the switch {name} of the subnet."
        )


def _metadata_address_differs(work: apply_work.Work, known: facts.Subnet) -> bool:
    """Whether the metadata port needs an address here (IPv4, as in stock's create) or has one."""
    if not work.settings.metadata_enabled:
        return False
    if known.subnet["enable_dhcp"]:
        return known.subnet["ip_version"] == 4 and not known.metadata_ip
    return bool(known.metadata_ip)


def _write(
    work: apply_work.Work,
    known: facts.Subnet,
    wanted: apply_work.Rows,
    found: apply_work.Differences,
) -> None:
    _drop_copies(work, known)
    _choose_mac(work, known.subnet["id"], found)
    subnet = known.subnet
    with work.nb.transaction(check_error=True) as txn:
        txn.add(work.nb.check_revision_number(subnet["id"], subnet, ovn_const.TYPE_SUBNETS))
        there = work.nb.get_subnet_dhcp_options(subnet["id"])["subnet"]
        work.client._modify_subnet_dhcp_options(work.context, subnet, there, known.network, txn)
    if expect_subnets.has_row(subnet):
        _mend(work, wanted, found)
    else:
        _delete_rows(work, observe.dhcp_rows(work.nb, subnet["id"]))


def _choose_mac(work: apply_work.Work, subnet_id: str, found: apply_work.Differences) -> None:
    """Give the DHCP server an Ethernet address if it has none: stock keeps what is there."""
    for one in found:
        column, _, key = one.column.partition(":")
        if one.name == subnet_id and isinstance(one.expected, compare.AnyMac) and one.found:
            mac = net.get_random_mac(cfg.CONF.base_mac.split(":"))
            record = apply_work.record(work.nb, one.place)
            work.nb.db_set(one.table, record, (column, {key: mac})).execute(check_error=True)


def _mend(work: apply_work.Work, wanted: apply_work.Rows, found: apply_work.Differences) -> None:
    """Write what stock leaves alone: ids of an unchanged row, options of single ports."""
    for row in wanted:
        columns = {one.column for one in found if one.place == row.place}
        if "/" in row.name and columns:
            write_own_row(work, row)
        elif any(column.startswith("external_ids:") for column in columns):
            work.nb.db_set(
                row.table,
                apply_work.record(work.nb, row.place),
                ("external_ids", dict(row.columns["external_ids"].wanted)),
            ).execute(check_error=True)


def write_own_row(work: apply_work.Work, row: compare.Row) -> None:
    """Write the DHCP options that one port alone has, or remove them."""
    subnet_id, port_id = row.name.split("/")
    there = [
        one for one in observe.dhcp_rows(work.nb, subnet_id) if observe.dhcp_name(one) == row.name
    ]
    if row.absent:
        _delete_rows(work, there)
        return
    if len(there) > 1:
        _delete_rows(work, [one for one in there if one is not observe.in_use(there)])
    base = work.nb.get_subnet_dhcp_options(subnet_id)["subnet"]
    options = {
        name: base["options"][name] if isinstance(value, compare.AnyMac) else value
        for name, value in row.columns["options"].wanted.items()
    }
    external_ids = {**base["external_ids"], **row.columns["external_ids"].wanted}
    column = "dhcpv6_options" if ":" in row.columns["cidr"] else "dhcpv4_options"
    with work.nb.transaction(check_error=True) as txn:
        added = txn.add(
            work.nb.add_dhcp_options(
                subnet_id,
                port_id=port_id,
                cidr=row.columns["cidr"],
                options=options,
                external_ids=external_ids,
            )
        )
        txn.add(work.nb.set_lswitch_port(lport_name=port_id, **{column: added}))


def _drop_copies(work: apply_work.Work, known: facts.Subnet) -> None:
    """Leave one row if a write that was given up came through after all; links go to that one."""
    subnet_id = known.subnet["id"]
    rows = [
        one for one in observe.dhcp_rows(work.nb, subnet_id) if observe.dhcp_name(one) == subnet_id
    ]
    if len(rows) < 2:
        return
    kept = observe.in_use(rows)
    dropped = {one.uuid for one in rows} - {kept.uuid}
    column = "dhcpv4_options" if known.subnet["ip_version"] == 4 else "dhcpv6_options"
    name = expect_networks.switch_name(known.network["id"])
    with work.nb.transaction(check_error=True) as txn:
        for lsp in work.nb.lookup("Logical_Switch", name).ports:
            if any(one.uuid in dropped for one in getattr(lsp, column)):
                txn.add(work.nb.db_set("Logical_Switch_Port", lsp.uuid, (column, kept.uuid)))
        for uuid in dropped:
            txn.add(work.nb.delete_dhcp_options(uuid))


def _delete_rows(work: apply_work.Work, rows: typing.Iterable[typing.Any]) -> None:
    uuids = [one.uuid for one in rows]
    if uuids:
        with work.nb.transaction(check_error=True) as txn:
            for uuid in uuids:
                txn.add(work.nb.delete_dhcp_options(uuid))
