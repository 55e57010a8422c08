# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Networks: the logical switch, its localnet ports, and the metadata port's row in Neutron."""

import typing

from neutron.common.ovn import constants as ovn_const

from networking_workflow.drivers.ovn import compare, facts, observe
from networking_workflow.drivers.ovn.apply import mend, qos, reached, subnets
from networking_workflow.drivers.ovn.apply import work as apply_work
from networking_workflow.drivers.ovn.expect import networks as expect_networks


def apply(work: apply_work.Work) -> None:
    """Make OVN hold the network."""
    known = facts.read_network(work.plugin, work.context, work.target.resource_id)
    wanted = expect_networks.rows(known, work.settings)
    apply_work.converge(work, lambda: wanted, lambda found: _write(work, known, wanted, found))
    if work.settings.metadata_enabled:
        # A port of its own, so a workflow of its own; makes none if there is one.
        work.client.create_metadata_port(work.context, known.network)
    work.target.fan_out(qos.of_network(work, known.network))
    work.bump_revision(known.network, ovn_const.TYPE_NETWORKS)


def delete(work: apply_work.Work) -> None:
    """Make OVN forget the network with all that is on its switch."""
    work.client.delete_network(work.context, work.target.resource_id)


def _write(
    work: apply_work.Work,
    known: facts.Network,
    wanted: apply_work.Rows,
    found: apply_work.Differences,
) -> None:
    name = expect_networks.switch_name(known.network["id"])
    if observe.row(work.nb, "Logical_Switch", name) is None:
        work.client.create_network(work.context, known.network)
    else:
        # First, for the next attempt would not see any more that the MTU, or the type, was another.
        if apply_work.touched(found, "Logical_Switch", "external_ids:neutron:mtu"):
            work.target.fan_out(reached.by_mtu(work, known.network))
            for subnet in work.plugin.get_subnets_by_network(work.context, known.network["id"]):
                subnets.apply_own_rows(work, subnet["id"])
        if apply_work.touched(found, "Logical_Switch", "external_ids:neutron:provnet-network-type"):
            work.target.fan_out(reached.by_type(work, known.network))
        if apply_work.touched(found, "Logical_Switch"):
            work.client.update_network(work.context, known.network)
        _write_localnets(work, known, wanted, found)
    with work.nb.transaction(check_error=True) as txn:
        for one in apply_work.touched(found, "Logical_Switch"):
            _remove_key(work, txn, name, one)


def _remove_key(work: apply_work.Work, txn: typing.Any, name: str, one: compare.Difference) -> None:
    column, _, key = one.column.partition(":")
    if key and one.expected is None:
        txn.add(work.nb.db_remove("Logical_Switch", name, column, key, if_exists=True))


def _write_localnets(
    work: apply_work.Work,
    known: facts.Network,
    wanted: apply_work.Rows,
    found: apply_work.Differences,
) -> None:
    """Make, mend and remove localnet ports: stock makes them with the switch only.

    One that is made again cuts its segment off for a moment, so what can be mended is.
    """
    network_id = known.network["id"]
    differs = apply_work.touched(found, "Logical_Switch_Port")
    for row in wanted:
        of_row = [one for one in differs if one.name == row.name]
        if any(one.column in ("", "switch") for one in of_row):
            _replace_localnet(work, known, row.name)
        elif of_row:
            with work.nb.transaction(check_error=True) as txn:
                mend.columns(work.nb, txn, of_row)
    for one in apply_work.touched(found, "Logical_Switch", "localnet ports"):
        for name in one.found - one.expected:
            work.nb.delete_lswitch_port(name, expect_networks.switch_name(network_id)).execute(
                check_error=True
            )


def _replace_localnet(work: apply_work.Work, known: facts.Network, name: str) -> None:
    segment_id = name.removeprefix(ovn_const.OVN_PROVNET_PORT_NAME_PREFIX)
    segment = next(one for one in known.segments if one["id"] == segment_id)
    lsp = observe.row(work.nb, "Logical_Switch_Port", name)
    with work.nb.transaction(check_error=True) as txn:
        if lsp is not None:
            guess = expect_networks.switch_name(known.network["id"])
            switch = observe.switch_of(work.nb, lsp, guess)
            txn.add(work.nb.delete_lswitch_port(name, switch))
        # Another transaction, since this one would still find the old port.
    work.client.create_provnet_port(
        work.context, known.network["id"], segment, network=known.network
    )
