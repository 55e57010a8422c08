# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""DNS records of a port in the row that it shares with all ports of its switch.

Which records are the port's is remembered with what was applied last (``Target.applied``): the row
does not say whose they are. What stock wrote, before the first workflow or between two stays with
it, nobody has remembered: there it is what the port was called before the change. Of two ports with
one name the last one wins, as with stock ML2/OVN.
"""

import typing

from networking_workflow.drivers.ovn import facts, observe
from networking_workflow.drivers.ovn.apply import work as apply_work
from networking_workflow.drivers.ovn.expect import dns as expect_dns
from networking_workflow.drivers.ovn.expect import networks as expect_networks


def lost(work: apply_work.Work, known: facts.Port) -> frozenset[str]:
    """Return the names that were applied for the port and are not its names any more."""
    wanted = expect_dns.records(known.port, known.network)
    switch = expect_networks.switch_name(known.port["network_id"])
    before = expect_dns.records((work.target.snapshot or {}).get("original") or {}, known.network)
    before |= (work.target.applied or {}).get("dns") or {}
    return _still_there(work, switch, {k: v for k, v in before.items() if k not in wanted})


def write(work: apply_work.Work, known: facts.Port, found: apply_work.Differences) -> None:
    """Write the port's records if any differs, and take lost ones away."""
    if not apply_work.touched(found, "DNS"):
        return
    records = expect_dns.records(known.port, known.network)
    switch = expect_networks.switch_name(known.port["network_id"])
    row = observe.dns(work.nb, switch)
    there = {} if row is None else row.records
    wrong = {name for name, value in records.items() if there.get(name, value) != value}
    with work.nb.transaction(check_error=True) as txn:
        _remove(work, txn, switch, wrong | known.lost_records)
    if records:
        # It only adds: a name that is there keeps its record.
        work.connections.catch_up(work.pair)
        port = {**known.port, "network": known.network}
        with work.nb.transaction(check_error=True) as txn:
            work.client.add_txns_to_sync_port_dns_records(txn, port)


def remove(work: apply_work.Work) -> None:
    """Take the records of a port that is gone away."""
    switch, names = left(work)
    if switch:
        with work.nb.transaction(check_error=True) as txn:
            _remove(work, txn, switch, names)


def left(work: apply_work.Work) -> tuple[str, frozenset[str]]:
    """Return the switch of a port that is gone, and the names there that are still its; or ""."""
    snapshot = work.target.snapshot or {}
    deleted = snapshot.get("deleted") or {}
    records = dict((work.target.applied or {}).get("dns") or {})
    records |= expect_dns.records(deleted, (snapshot.get("edge") or {}).get("network") or {})
    network_id = deleted.get("network_id") or (work.target.applied or {}).get("network_id")
    if not records or not network_id:
        return "", frozenset()
    switch = expect_networks.switch_name(network_id)
    return switch, _still_there(work, switch, records)


def _still_there(work: apply_work.Work, switch: str, records: expect_dns.Records) -> frozenset[str]:
    """Return the names whose record is what was written: others may have taken a name since."""
    row = observe.dns(work.nb, switch)
    there = {} if row is None else row.records
    return frozenset(name for name, value in records.items() if there.get(name) == value)


def _remove(
    work: apply_work.Work, txn: typing.Any, switch: str, names: typing.Iterable[str]
) -> None:
    row = observe.dns(work.nb, switch)
    for name in names if row is not None else ():
        txn.add(work.nb.dns_remove_record(row.uuid, name, if_exists=True))
