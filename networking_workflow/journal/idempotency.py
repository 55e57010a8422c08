# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Which resources a project's POST has made under which key.

An entry is written by the transaction that makes the resource: one is there if, and only if, the
other is. Two calls that come with one key at a time meet at the primary key.
"""

import dataclasses
import typing

import sqlalchemy as sa

from networking_workflow.journal import clock, tables

KEPT_S = 86_400.0  #: seconds after which an entry counts as absent

_K = tables.idempotency_keys.c
_W = tables.workflows.c

_PROJECT: sa.BindParameter[str] = sa.bindparam("of_project", type_=_K.project_id.type)
_KEY: sa.BindParameter[str] = sa.bindparam("of_key", type_=_K.idempotency_key.type)

_IS_THE_KEY = sa.and_(_K.project_id == _PROJECT, _K.idempotency_key == _KEY)

_IS_OVER = _K.created_at <= clock.after(-KEPT_S)

#: Served by the primary key.
_FIND = sa.select(
    *(_K.fingerprint, _K.operation_id, _K.resource_ids, _IS_OVER.label("is_over"))
).where(_IS_THE_KEY)

#: Served by the index on (resource_id, state).
_WORKFLOWS = (
    sa.select(_W.id)
    .where(
        _W.resource_id.in_(sa.bindparam("resource_ids", expanding=True)),
        _W.operation_id == sa.bindparam("of_operation"),
    )
    .order_by(_W.created_at, _W.id)
)

_FINGERPRINT: sa.BindParameter[str] = sa.bindparam("new_fingerprint")
_OPERATION: sa.BindParameter[str] = sa.bindparam("new_operation")
_OLD_IDS: sa.BindParameter[typing.Any] = sa.bindparam("old_ids", type_=_K.resource_ids.type)
_NEW_IDS: sa.BindParameter[typing.Any] = sa.bindparam("new_ids", type_=_K.resource_ids.type)

_INSERT = sa.insert(tables.idempotency_keys).values(
    project_id=_PROJECT,
    idempotency_key=_KEY,
    fingerprint=_FINGERPRINT,
    operation_id=_OPERATION,
    resource_ids=_NEW_IDS,
    created_at=clock.now(),
)

_RENEW = (
    sa.update(tables.idempotency_keys)
    .where(_IS_THE_KEY, _IS_OVER)
    .values(
        fingerprint=_FINGERPRINT,
        operation_id=_OPERATION,
        resource_ids=_NEW_IDS,
        created_at=clock.now(),
    )
)

_CHANGE = (
    sa.update(tables.idempotency_keys)
    .where(_IS_THE_KEY, _K.resource_ids == _OLD_IDS)
    .values(resource_ids=_NEW_IDS)
)

_DELETE = sa.delete(tables.idempotency_keys).where(_IS_THE_KEY, _K.resource_ids == _OLD_IDS)

#: Served by the index on created_at.
_OVER = (
    sa.select(_K.project_id, _K.idempotency_key)
    .where(_IS_OVER)
    .order_by(_K.created_at)
    .limit(sa.bindparam("limit", type_=sa.Integer))
)

#: By the primary key; one that a call has made its own meanwhile stays.
_FORGET = sa.delete(tables.idempotency_keys).where(_IS_THE_KEY, _IS_OVER)

Ids = tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """What a caller calls its POST."""

    project_id: str  #: of the caller
    key: str
    fingerprint: str  #: of what the POST asks for


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """What the first call under a key has made."""

    fingerprint: str
    operation_id: str
    resource_ids: Ids
    workflow_ids: Ids  #: of these resources, by that call; those that were pruned are left out
    is_over: bool


def find(connection: sa.Connection, key: Key) -> Entry | None:
    """Return what a key stands for, or None."""
    row = connection.execute(_FIND, _named(key)).one_or_none()
    if row is None:
        return None
    named = {"resource_ids": row.resource_ids, "of_operation": row.operation_id}
    return Entry(
        fingerprint=row.fingerprint,
        operation_id=row.operation_id,
        resource_ids=tuple(row.resource_ids),
        workflow_ids=tuple(connection.scalars(_WORKFLOWS, named)),
        is_over=row.is_over,
    )


def insert(connection: sa.Connection, key: Key, operation_id: str, made: Ids) -> None:
    """Write what a call makes, in its own transaction.

    Waits for a transaction that has written the same key, and fails as every INSERT does whose
    primary key is taken if that one commits.
    """
    connection.execute(_INSERT, _new(key, operation_id, made))


def renew(connection: sa.Connection, key: Key, operation_id: str, made: Ids) -> bool:
    """Overwrite an entry that is over; False: another call has been faster, nothing is changed."""
    return connection.execute(_RENEW, _new(key, operation_id, made)).rowcount == 1


def change(connection: sa.Connection, key: Key, before: Ids, made: Ids) -> bool:
    """Write what a call has made by now; False: the entry does not say ``before`` any more.

    No resources: the entry goes, and the key is free.
    """
    parameters = {**_named(key), "old_ids": list(before)}
    if not made:
        return connection.execute(_DELETE, parameters).rowcount == 1
    return connection.execute(_CHANGE, {**parameters, "new_ids": list(made)}).rowcount == 1


def over(connection: sa.Connection, limit: int) -> list[sa.Row[typing.Any]]:
    """Return the keys that are over, the oldest first."""
    return list(connection.execute(_OVER, {"limit": limit}))


def forget(connection: sa.Connection, limit: int) -> int:
    """Delete up to ``limit`` keys that are over, row by row; return how many were found."""
    rows = over(connection, limit)
    for row in sorted(rows):
        named = {"of_project": row.project_id, "of_key": row.idempotency_key}
        connection.execute(_FORGET, named)
    return len(rows)


def _named(key: Key) -> dict[str, typing.Any]:
    return {"of_project": key.project_id, "of_key": key.key}


def _new(key: Key, operation_id: str, made: Ids) -> dict[str, typing.Any]:
    return {
        **_named(key),
        "new_fingerprint": key.fingerprint,
        "new_operation": operation_id,
        "new_ids": list(made),
    }
