# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Log objects: what the ACLs of security groups log, the meters, and the drop group.

Three kinds of workflows write what an ACL logs: those of log objects, of groups with their rules,
and of ports, whose groups a log object may follow. They hold no key of each other that would put
one after the other: a log object for everything would wait for every group of the cloud, and every
group for it. They need none, because each of them reads Neutron's log objects and the bindings of
ports when it begins and *again after each write* (``wanted`` of ``converge``), and none ends before
what it then reads is what OVN holds. Of two that write the same ACL, the one that had read before
the other's change was committed finds that change when it looks again, and writes once more; the
other one, whose change came last, reads it from the first. So the last one to write has read all
(``docs/decisions/013-what-is-logged.md``).

That a log object refers to its group or port, shared, is for the other direction: it is not called
in sync before the group is there. The meters and the drop group are of no group; workflows of log
objects write them one after the other (``plan.keys``).
"""

import collections.abc
import functools
import typing

from neutron.common.ovn import constants as ovn_const

from networking_workflow.drivers.ovn import compare, facts_logs, observe
from networking_workflow.drivers.ovn.apply import mend
from networking_workflow.drivers.ovn.apply import work as apply_work
from networking_workflow.drivers.ovn.expect import logs as expect_logs
from networking_workflow.drivers.ovn.expect import security_groups as expect_groups
from networking_workflow.model import errors

_GROUP_ID = ovn_const.OVN_SG_EXT_ID_KEY
_RULE_ID = ovn_const.OVN_SG_RULE_EXT_ID_KEY
_PREFIX = expect_logs.log_name("")

#: ACLs of one transaction.
_CHUNK = 500

#: Id of a security group that OVN has -> names of the ACLs of its rules.
_Present = dict[str, list[str]]


def apply(work: apply_work.Work) -> None:
    """Make OVN log what the log object asks for.

    :raises MissingReference: if OVN lacks a group that it is about.
    """
    _logs, log = facts_logs.read_log(work.context, work.target.resource_id)
    if log.enabled:
        _require_groups(work, log)
    _converge(work, lambda: rows_with(work))


def rows_with(work: apply_work.Work) -> apply_work.Rows:
    """Return what OVN must hold for the log object that there is.

    :raises LogResourceNotFound: if its row is gone.
    """
    logs, known = facts_logs.read_log(work.context, work.target.resource_id)
    return _shared_rows(work, logs) + _rows(work, logs, [known])


def delete(work: apply_work.Work) -> None:
    """Let no ACL name the log object, but others that ask for it; the last one takes the meters."""
    _converge(work, lambda: rows_without(work))


def rows_without(work: apply_work.Work) -> apply_work.Rows:
    """Return what OVN must hold where the log object was."""
    deleted = (work.target.snapshot or {}).get("deleted") or {}
    group_id = deleted.get("resource_id")
    groups = frozenset({group_id} if group_id else ())
    gone = facts_logs.Log(id=work.target.resource_id, event="", enabled=False, groups=groups)
    logs = facts_logs.read(work.context)
    return _shared_rows(work, logs) + _rows(work, logs, [gone]) if logs else ()


def require_row(work: apply_work.Work) -> None:
    """Return if Neutron has the log object.

    :raises LogResourceNotFound: otherwise.
    """
    facts_logs.read_log(work.context, work.target.resource_id)


def follow_port(work: apply_work.Work, port_id: str) -> None:
    """Log what log objects for this port ask for in the groups that it has now, and no others.

    Looks at what OVN holds, not at what changed: an attempt that ended half way sees no change.
    """
    logs = facts_logs.read(work.context)
    if logs is None or not logs.of_port(port_id):
        return

    def wanted() -> apply_work.Rows:
        now = facts_logs.read(work.context)
        return _rows(work, now, now.of_port(port_id)) if now else ()

    _converge(work, wanted)


def log_drops(work: apply_work.Work) -> None:
    """Log what the drop group, which has just been made, drops."""
    work.connections.catch_up(work.pair)

    def wanted() -> apply_work.Rows:
        logs = facts_logs.read(work.context)
        return expect_logs.drop_group_rows(logs, work.settings) if logs else ()

    _converge(work, wanted)


def write(work: apply_work.Work, rows: apply_work.Rows) -> None:
    """Write those logging columns among ``rows`` that differ, and the ACLs that exist for them.

    An ACL of a rule that is not there is left to whoever makes it.
    """
    logged = tuple(
        row for row in rows if row.table == "ACL" and (row.absent or "log" in row.columns)
    )
    if not logged:
        return
    work.connections.catch_up(work.pair)
    found: dict[str, list[compare.Difference]] = {}
    for one in compare.differences(logged, observe.read(work.nb, logged)):
        found.setdefault(one.name, []).append(one)
    differing = [row for row in logged if row.name in found]
    acls = functools.cache(functools.partial(_acls, work.nb))
    for start in range(0, len(differing), _CHUNK):
        with work.nb.transaction(check_error=True) as txn:
            for row in differing[start : start + _CHUNK]:
                group_name = row.name.split(" ", 1)[0]
                there = acls(group_name).get(row.name, [])
                for command in _commands(work.nb, row, there, found[row.name]):
                    txn.add(command)


def _acls(nb: typing.Any, group_name: str) -> observe.Acls:
    group = observe.row(nb, "Port_Group", group_name)
    return observe.acls_by_name(group) if group is not None else {}


def _commands(
    nb: typing.Any,
    row: compare.Row,
    there: list[typing.Any],
    found: list[compare.Difference],
) -> collections.abc.Iterator[typing.Any]:
    group_name, direction, priority, match = row.name.split(" ", 3)
    if not there:
        if int(priority) == expect_logs.PRIORITY and observe.row(nb, "Port_Group", group_name):
            columns = {name: mend.plain(row.columns[name]) for name in _OWN}
            yield nb.pg_acl_add(group_name, direction, int(priority), match, "drop", **columns)
        return
    kept = observe.in_use(there)
    for acl in there:
        if row.absent or (acl is not kept and "copies" in row.columns):
            yield nb.db_remove("Port_Group", group_name, "acls", acl.uuid)
    for one in found:
        if one.column.partition(":")[0] in _MENDED:
            yield mend.column(nb, kept.uuid, one)


#: Columns of an ACL that exists in order to log, as ``pg_acl_add`` calls them.
_OWN = ("log", "name", "meter", "severity")

_MENDED = expect_logs.COLUMNS | {"action"}


def _converge(work: apply_work.Work, wanted: typing.Callable[[], apply_work.Rows]) -> None:
    def write_all(_found: apply_work.Differences) -> None:
        rows = wanted()
        _write_meters(work, rows)
        write(work, rows)

    apply_work.converge(work, wanted, write_all)


def _shared_rows(work: apply_work.Work, logs: facts_logs.Logs) -> apply_work.Rows:
    meters = expect_logs.meter_rows(logs, work.settings)
    return (*meters, *expect_logs.drop_group_rows(logs, work.settings))


def _rows(
    work: apply_work.Work, logs: facts_logs.Logs, of: typing.Sequence[facts_logs.Log]
) -> apply_work.Rows:
    """Return the ACLs of all groups that these log objects are about, or that name them.

    And of those that name a log object which asks for nothing any more.
    """
    asking = {expect_logs.log_name(log.id) for log in logs.enabled}
    mine = {expect_logs.log_name(log.id) for log in of}
    about = [log.groups for log in of]
    present = _present(
        work.nb,
        None if None in about else frozenset().union(*filter(None, about)),
        lambda name: name in mine or (name.startswith(_PREFIX) and name not in asking),
    )
    stateful = facts_logs.stateful(work.context, present)
    rows: list[compare.Row] = []
    for group_id in sorted(stateful):
        rows += expect_logs.group_rows(
            logs, group_id, stateful[group_id], present[group_id], work.settings
        )
    return tuple(rows)


def _present(
    nb: typing.Any, group_ids: frozenset[str] | None, wrong: typing.Callable[[str], bool]
) -> _Present:
    """Return those groups (None: all), and those with an ACL whose name is ``wrong``."""
    found = {}
    with nb.ovsdb_connection.lock:
        for group in nb.tables["Port_Group"].rows.values():
            group_id = group.external_ids.get(_GROUP_ID)
            if not group_id:
                continue
            acls = group.acls
            if (
                group_ids is None
                or group_id in group_ids
                or any(wrong(next(iter(acl.name), "")) for acl in acls)
            ):
                found[group_id] = [
                    observe.acl_name(group, acl) for acl in acls if _RULE_ID in acl.external_ids
                ]
    return found


def _require_groups(work: apply_work.Work, log: facts_logs.Log) -> None:
    for group_id in facts_logs.stateful(work.context, log.groups or ()):
        name = expect_groups.group_name(group_id)
        if observe.row(work.nb, "Port_Group", name) is None:
            raise errors.MissingReference(
                "security_group", group_id, f"OVN does not have the port group {name}."
            )


def _write_meters(work: apply_work.Work, rows: apply_work.Rows) -> None:
    """Make, mend and remove meters: stock makes a changed one anew."""
    meters = tuple(row for row in rows if row.table == expect_logs.METER)
    found = compare.differences(meters, observe.read(work.nb, meters))
    with work.nb.transaction(check_error=True) as txn:
        for row in meters:
            differs = [one for one in found if one.name == row.name]
            for command in _meter_commands(work.nb, row, differs):
                txn.add(command)


def _meter_commands(
    nb: typing.Any, row: compare.Row, found: list[compare.Difference]
) -> collections.abc.Iterator[typing.Any]:
    meter = observe.row(nb, row.table, row.name)
    if found and meter is None:
        columns = {**row.columns, "external_ids": dict(row.columns["external_ids"].wanted)}
        yield nb.meter_add(row.name, **columns)
    elif found and row.absent:
        yield nb.meter_del(row.name, if_exists=True)
    else:
        for one in found:
            if one.column in ("rate", "burst_size"):
                band = observe.in_use(meter.bands)
                yield nb.db_set("Meter_Band", band.uuid, (one.column, one.expected))
            else:
                yield mend.column(nb, meter.uuid, one)
