# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A POST that its caller has given a key: what it makes is written under the key, with the rows.

A call may commit several transactions (a bulk that Neutron emulates: one a resource), and undo what
it made before it failed: the entry always names what there is of it.
"""

import collections.abc
import contextlib
import dataclasses
import threading
import typing

import sqlalchemy as sa
from neutron_lib import exceptions as n_exc
from oslo_db import exception as db_exc

from networking_workflow.capture import changes, rows
from networking_workflow.journal import failpoints, idempotency
from networking_workflow.model import states

_RBAC = frozenset(
    {
        *("addressgrouprbacs", "addressscoperbacs", "networkrbacs", "qospolicyrbacs"),
        *("securitygrouprbacs", "subnetpoolrbacs"),
    }
)

#: Path of a collection, with ``_`` for ``-`` and ``*`` for an id -> tables of what a POST makes
#: there. What is not here makes no resource with a row and an id of its own (a binding, a tag), has
#: one a project, or belongs to a plugin that is refused at start.
COLLECTIONS: dict[str, frozenset[str]] = {
    "rbac_policies": _RBAC,
    **{
        path: frozenset({table})
        for path, table in {
            "address_groups": "address_groups",
            "address_scopes": "address_scopes",
            "default_security_group_rules": "securitygroupdefaultrules",
            "flavors": "flavors",
            "floatingips": "floatingips",
            "floatingips/*/port_forwardings": "portforwardings",
            "log/logs": "logs",
            "network_segment_ranges": "network_segment_ranges",
            "networks": "networks",
            "ports": "ports",
            "qos/policies": "qos_policies",
            "qos/policies/*/bandwidth_limit_rules": "qos_bandwidth_limit_rules",
            "qos/policies/*/dscp_marking_rules": "qos_dscp_marking_rules",
            "qos/policies/*/minimum_bandwidth_rules": "qos_minimum_bandwidth_rules",
            "qos/policies/*/minimum_packet_rate_rules": "qos_minimum_packet_rate_rules",
            "qos/policies/*/packet_rate_limit_rules": "qos_packet_rate_limit_rules",
            "routers": "routers",
            "security_group_rules": "securitygrouprules",
            "security_groups": "securitygroups",
            "segments": "networksegments",
            "service_profiles": "serviceprofiles",
            "subnetpools": "subnetpools",
            "subnets": "subnets",
            "trunks": "trunks",
        }.items()
    },
}

#: Table -> its column that names a row which no POST asked for: a project's default group comes
#: with the project's first call, whatever that is.
_BY_THE_WAY = {"default_security_group": "security_group_id"}


class KeyTaken(n_exc.Conflict):
    """Another call has committed under the same key: this one is rolled back, and not tried again.

    No database error: Neutron would repeat the call up to twenty times.
    """

    message = "Another call with the same Idempotency-Key has come first. Repeat the request."


@dataclasses.dataclass(kw_only=True, slots=True)
class Posting:
    """A call under a key."""

    key: idempotency.Key
    tables: frozenset[str]  #: of what the call asks for
    wanted: int  #: resources that it asks for
    is_over: bool  #: the key has an entry that counts as absent
    made: idempotency.Ids = ()  #: what has been committed so far
    is_taken: bool = False  #: another call, or an earlier try of this one, has come first


class _Call(threading.local):
    posting: Posting | None = None


_CALL = _Call()


@contextlib.contextmanager
def posting(call: Posting) -> typing.Iterator[Posting]:
    """Write what this thread commits within the block under the call's key."""
    _CALL.posting = call
    try:
        yield call
    finally:
        _CALL.posting = None


def posted(flush: typing.Any) -> collections.abc.Iterable[changes.Posted]:
    """Return what a flush inserted or deleted of what the call asks for.

    Neutron flushes each row by itself: they come in the order of the call's body.
    """
    call = _CALL.posting
    if call is None:
        return ()
    return [
        one
        for state, (is_delete, list_only) in list(flush.states.items())
        if not list_only
        for one in _of_row(call, state, is_delete)
    ]


def _of_row(
    call: Posting, state: typing.Any, is_delete: bool
) -> collections.abc.Iterator[changes.Posted]:
    table = state.mapper.local_table.name
    if table not in call.tables and table not in _BY_THE_WAY:
        return
    row = rows.Row(state, is_delete)
    if table in call.tables and row.operation is not states.Operation.UPDATE:
        yield changes.Posted(row.value("id"), not is_delete)
    elif table in _BY_THE_WAY and row.operation is states.Operation.CREATE:
        yield changes.Posted(row.value(_BY_THE_WAY[table]), False)


def write(
    connection: sa.Connection,
    collected: collections.abc.Iterable[changes.Collected],
    operation_id: str,
) -> idempotency.Ids | None:
    """Write the entry as it will be right when the transaction has committed.

    :return: what the call will have made then; None: the transaction changes nothing of it.
    :raises KeyTaken: if the entry is another call's.
    """
    call = _CALL.posting
    if call is None:
        return None
    found = [entry for entry in collected if isinstance(entry, changes.Posted)]
    left_out = {entry.resource_id for entry in found if not entry.is_counted}
    new = [entry.resource_id for entry in found if entry.is_counted]
    made = tuple(one for one in (*call.made, *new) if one not in left_out)
    if made == call.made:
        return None
    if not _written(connection, call, operation_id, made):
        call.is_taken = True
        raise KeyTaken
    failpoints.failpoint("capture.key_written")
    return made


def _written(
    connection: sa.Connection, call: Posting, operation_id: str, made: idempotency.Ids
) -> bool:
    if len(made) > call.wanted:  # an earlier try has committed, though Neutron took it for failed
        return False
    if call.made:
        as_it_was = idempotency.change(connection, call.key, call.made, made)
        return as_it_was or len(made) < len(call.made)  # nothing keeps a call from undoing
    if call.is_over:
        return idempotency.renew(connection, call.key, operation_id, made)
    try:
        idempotency.insert(connection, call.key, operation_id, made)
    except db_exc.DBDuplicateEntry:
        return False
    return True


def committed(made: idempotency.Ids | None) -> None:
    """Remember what :func:`write` returned for the transaction that has committed."""
    call = _CALL.posting
    if call is not None and made is not None:
        call.made, call.is_over = made, False
