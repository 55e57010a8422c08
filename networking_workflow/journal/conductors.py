# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Conductors and their leases.

A renewal writes the conductor's row, and so does a take-over: they exclude each other, on one
server by the row lock, on Galera by certification. Neither writes a workflow's row for it.
"""

import collections.abc

import sqlalchemy as sa

from networking_workflow.journal import clock, tables
from networking_workflow.model.states import OWNED, ConductorState, WorkflowState

_C = tables.conductors.c
_W = tables.workflows.c
_OWNED = sorted(OWNED)

_REGISTER_AGAIN = (
    sa.update(tables.conductors)
    .where(_C.id == sa.bindparam("conductor"))
    .values(
        host=sa.bindparam("new_host"),
        pid=sa.bindparam("new_pid"),
        generation=_C.generation + 1,
        state=ConductorState.ALIVE,
        expires_at=clock.later(sa.bindparam("lease_us", type_=sa.BigInteger)),
        started_at=clock.now(),
        updated_at=clock.now(),
    )
)

_REGISTER = sa.insert(tables.conductors).values(
    id=sa.bindparam("conductor"),
    host=sa.bindparam("new_host"),
    pid=sa.bindparam("new_pid"),
    generation=sa.literal_column("1"),
    state=ConductorState.ALIVE,
    expires_at=clock.later(sa.bindparam("lease_us", type_=sa.BigInteger)),
    started_at=clock.now(),
    updated_at=clock.now(),
)

_RENEW = (
    sa.update(tables.conductors)
    .where(_C.id == sa.bindparam("conductor"), _C.state == ConductorState.ALIVE)
    .values(
        expires_at=clock.later(sa.bindparam("lease_us", type_=sa.BigInteger)),
        updated_at=clock.now(),
    )
)

_STOP = (
    sa.update(tables.conductors)
    .where(_C.id == sa.bindparam("conductor"))
    .values(state=ConductorState.STOPPED, generation=_C.generation + 1, updated_at=clock.now())
)

#: Served by the index on (state, expires_at).
_EXPIRED = sa.select(_C.id, _C.generation).where(
    _C.state == ConductorState.ALIVE, _C.expires_at < clock.now()
)

_TAKE_OVER = (
    sa.update(tables.conductors)
    .where(
        _C.id == sa.bindparam("conductor"),
        _C.generation == sa.bindparam("seen_generation"),
        _C.state == ConductorState.ALIVE,
        _C.expires_at < clock.now(),
    )
    .values(state=ConductorState.LOST, generation=_C.generation + 1, updated_at=clock.now())
)

#: Few rows: what is running right now. Served by the indexes that begin with state.
_OWNERLESS = (
    sa.select(_W.owner)
    .distinct()
    .where(
        _W.state.in_(_OWNED),
        ~sa.exists().where(_C.id == _W.owner, _C.state == ConductorState.ALIVE),
    )
)

#: Served by the index on owner.
_OWNED_BY = sa.select(_W.id).where(_W.owner == sa.bindparam("conductor"), _W.state.in_(_OWNED))

_OLD_ENOUGH = sa.select(_W.id).where(
    _W.owner == sa.bindparam("conductor"),
    _W.state.in_(_OWNED),
    _W.updated_at <= clock.later(sa.bindparam("age_us", type_=sa.BigInteger)),
)

_HAND_BACK = (
    sa.update(tables.workflows)
    .where(
        _W.id.in_(sa.bindparam("ids", expanding=True)),
        _W.owner == sa.bindparam("conductor"),
        _W.state.in_(_OWNED),
    )
    .values(state=WorkflowState.READY, owner=None, fence=_W.fence + 1, updated_at=clock.now())
)


def register(
    connection: sa.Connection, conductor_id: str, host: str, pid: int, lease_s: float
) -> None:
    """Make a conductor ALIVE; one that comes back under its old id hands back what it had."""
    parameters = {
        "conductor": conductor_id,
        "new_host": host,
        "new_pid": pid,
        "lease_us": clock.microseconds(lease_s),
    }
    if connection.execute(_REGISTER_AGAIN, parameters).rowcount:
        _hand_back(connection, conductor_id, _OWNED_BY, {})
    else:
        connection.execute(_REGISTER, parameters)


def renew(connection: sa.Connection, conductor_id: str, lease_s: float) -> bool:
    """Extend the lease from now; False: taken over, all it had is another's."""
    parameters = {"conductor": conductor_id, "lease_us": clock.microseconds(lease_s)}
    return bool(connection.execute(_RENEW, parameters).rowcount)


def sign_off(connection: sa.Connection, conductor_id: str) -> None:
    """Hand back all that the conductor owns; it is STOPPED."""
    connection.execute(_STOP, {"conductor": conductor_id})
    _hand_back(connection, conductor_id, _OWNED_BY, {})


def expired(connection: sa.Connection) -> list[tuple[str, int]]:
    """Return id and generation of ALIVE conductors whose lease is over."""
    return [(row.id, row.generation) for row in connection.execute(_EXPIRED)]


def take_over(connection: sa.Connection, conductor_id: str, generation: int) -> int:
    """Hand back what a conductor with an expired lease owns; 0 if it has renewed meanwhile."""
    parameters = {"conductor": conductor_id, "seen_generation": generation}
    if not connection.execute(_TAKE_OVER, parameters).rowcount:
        return 0
    return _hand_back(connection, conductor_id, _OWNED_BY, {})


def ownerless(connection: sa.Connection) -> list[str]:
    """Return owners of running workflows that are no ALIVE conductors."""
    return sorted(connection.execute(_OWNERLESS).scalars())


def hand_back_ownerless(connection: sa.Connection, conductor_id: str) -> int:
    """Hand back what a conductor owns that is LOST, STOPPED or unknown."""
    return _hand_back(connection, conductor_id, _OWNED_BY, {})


def hand_back_unknown(
    connection: sa.Connection,
    owner: str,
    known: collections.abc.Collection[str],
    older_than_s: float,
) -> int:
    """Hand back what ``owner`` owns and does not know: claims whose commit it never heard of."""
    parameters = {"age_us": clock.microseconds(-older_than_s)}
    return _hand_back(connection, owner, _OLD_ENOUGH, parameters, set(known))


def _hand_back(
    connection: sa.Connection,
    conductor_id: str,
    which: sa.Select[tuple[str]],
    parameters: dict[str, int],
    known: collections.abc.Set[str] = frozenset(),
) -> int:
    """RUNNING or REVERTING to READY with the fence raised, by primary key, sorted."""
    rows = connection.execute(which, {"conductor": conductor_id, **parameters})
    ids = sorted({row[0] for row in rows} - known)
    if not ids:
        return 0
    return connection.execute(_HAND_BACK, {"ids": ids, "conductor": conductor_id}).rowcount
