# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Taking keys: the place of a workflow in the order of what conflicts with it.

The row lock on a key makes ``gen`` follow the order of commits. An exclusive take raises it; a
shared one reads it under a shared lock, so that shared takers do not wait for each other. All keys
of a transaction are locked once, in one order, each in the strongest mode that it needs: crosswise
transactions cannot deadlock. Nothing is decided here; the claim looks at what stands before.
"""

import collections.abc
import dataclasses
import itertools
import typing
import weakref

import sqlalchemy as sa

from networking_workflow.journal import galera, tables, upserts
from networking_workflow.model import keys as model_keys
from networking_workflow.model.keys import Mode


@dataclasses.dataclass(frozen=True, slots=True)
class Want:
    """One workflow and the keys that it takes."""

    workflow_id: str
    keys: collections.abc.Mapping[str, Mode]


@dataclasses.dataclass(frozen=True, slots=True)
class Hold:
    """One key as one workflow holds it."""

    k: str
    mode: Mode
    gen: int
    workflow_id: str


def take(connection: sa.Connection, wants: collections.abc.Sequence[Want]) -> list[Hold]:
    """Lock all keys that ``wants`` (in apply order) ask for; return the holds, not yet written.

    Must be among the last statements of its transaction: the locks stay until COMMIT.
    """
    modes = model_keys.strongest(item for want in wants for item in want.keys.items())
    exclusive = _exclusive_takes(connection, wants, modes)
    before: dict[str, int] = {}
    for (is_exclusive, _), run in itertools.groupby(modes, key=lambda key: _run(key, exclusive)):
        if is_exclusive:
            gens = _take_exclusive(connection, {key: exclusive[key] for key in run})
            before.update({key: gen - exclusive[key] for key, gen in gens.items()})
        else:
            before.update(_take_shared(connection, list(run), exclusive))
    _tell_certification(connection, before, exclusive, wants[0].workflow_id)
    return _hand_out(wants, before, exclusive, modes)


def _run(key: str, exclusive: collections.abc.Container[str]) -> tuple[bool, bool]:
    """Return what neighbours in the order of locking must have in common for one statement.

    A locking read follows the primary key, which is the text alone.
    """
    return key in exclusive, model_keys.is_first(key)


def write_holds(connection: sa.Connection, holds: collections.abc.Sequence[Hold]) -> None:
    """Insert ``holds``; their workflows are there already."""
    if holds:
        connection.execute(_INSERT_HOLDS, [dataclasses.asdict(hold) for hold in holds])


_INSERT_HOLDS = sa.insert(tables.holds)


def _exclusive_takes(
    connection: sa.Connection,
    wants: collections.abc.Sequence[Want],
    modes: collections.abc.Mapping[str, Mode],
) -> dict[str, int]:
    """Return how often each key is taken exclusively in this transaction, where at all.

    A shared taker of a key without a row takes it as an exclusive one does: two shared lockers of a
    missing row would both hold MariaDB's gap and deadlock. Hence the plain read first, of keys that
    this process has not met before. Likewise without a gate on Galera: the row is older than the
    cluster.
    """
    takes = {key: 0 for key, mode in modes.items() if mode is Mode.EXCLUSIVE}
    for want in wants:
        for key, mode in want.keys.items():
            if mode is Mode.EXCLUSIVE:
                takes[key] += 1
    known = _known(connection)
    unknown = [key for key in modes if key not in takes and key not in known]
    if unknown:
        with_gates = galera.is_galera(connection)
        statement = _EXISTING_WITH_GATES if with_gates else _EXISTING
        existing = set(connection.execute(statement, {"keys": unknown}).scalars())
        known.update(existing)
        takes.update({key: 1 for key in unknown if key not in existing})
    return takes


#: Keys that have a row, as far as this process has seen, by database. One that has gone since costs
#: a deadlock at worst, which the caller's transaction is tried again after.
_KNOWN: weakref.WeakKeyDictionary[sa.Engine, set[str]] = weakref.WeakKeyDictionary()
_MOST_KNOWN = 10_000


def _known(connection: sa.Connection) -> set[str]:
    known = _KNOWN.setdefault(connection.engine, set())
    if len(known) > _MOST_KNOWN:
        known.clear()
    return known


_KEYS_IN = tables.keys.c.k.in_(sa.bindparam("keys", expanding=True))
_KEY_AND_GATE = tables.keys.join(
    tables.gates,
    sa.and_(tables.gates.c.k == tables.keys.c.k, tables.gates.c.gen == tables.keys.c.gen),
)
_EXISTING = sa.select(tables.keys.c.k).where(_KEYS_IN)
_EXISTING_WITH_GATES = sa.select(tables.keys.c.k).select_from(_KEY_AND_GATE).where(_KEYS_IN)


def _one_more(new: typing.Any) -> dict[str, sa.ColumnElement[typing.Any]]:
    return {"gen": tables.keys.c.gen + new.gen}


def _take_exclusive(
    connection: sa.Connection, takes: collections.abc.Mapping[str, int]
) -> dict[str, int]:
    """Raise each key's gen by its number of takes; return the new gens."""
    statement = upserts.upsert(connection.dialect.name, tables.keys, _one_more)
    parameters = [{"k": key, "gen": count} for key, count in takes.items()]
    if connection.dialect.insert_returning:
        returning = statement.returning(tables.keys.c.k, tables.keys.c.gen)
        rows = connection.execute(returning, parameters)
        return {row.k: row.gen for row in rows}
    connection.execute(statement, parameters)
    # A transaction sees its own writes, however old its snapshot is.
    rows = connection.execute(_GENS, {"keys": list(takes)})
    return {row.k: row.gen for row in rows}


_GENS = sa.select(tables.keys.c.k, tables.keys.c.gen).where(_KEYS_IN)


def _take_shared(
    connection: sa.Connection, shared: list[str], exclusive: dict[str, int]
) -> dict[str, int]:
    """Return each key's gen under a shared lock; ``exclusive`` learns of keys that vanished."""
    if galera.is_galera(connection):
        rows = connection.execute(_LOCK_SHARED_WITH_GATES, {"keys": shared})
    else:
        rows = connection.execute(_LOCK_SHARED, {"keys": shared})
    gens = {row.k: row.gen for row in rows}
    vanished = {key: 1 for key in shared if key not in gens}
    if vanished:
        _known(connection).difference_update(vanished)
        exclusive.update(vanished)
        taken = _take_exclusive(connection, vanished)
        gens.update({key: gen - 1 for key, gen in taken.items()})
    return gens


def _locking(statement: sa.Select[typing.Any]) -> sa.Select[typing.Any]:
    """In the order of the primary key on every database, never by a scan of the whole table."""
    statement = statement.where(_KEYS_IN).order_by(tables.keys.c.k)
    for dialect in ("mysql", "mariadb"):
        statement = statement.with_hint(tables.keys, "FORCE INDEX (PRIMARY)", dialect)
    return statement.with_for_update(read=True, of=tables.keys)


_LOCK_SHARED = _locking(sa.select(tables.keys.c.k, tables.keys.c.gen))
#: Keys first: then gates are found by their whole primary key too, and no gap between them, where
#: others insert theirs, is locked. The hint: also where MariaDB believes that gates are few.
_LOCK_SHARED_WITH_GATES = _locking(
    sa.select(tables.keys.c.k, tables.keys.c.gen)
    .select_from(_KEY_AND_GATE)
    .prefix_with("STRAIGHT_JOIN")
    .with_hint(tables.gates, "FORCE INDEX (PRIMARY)")
)


def _tell_certification(
    connection: sa.Connection,
    before: collections.abc.Mapping[str, int],
    exclusive: collections.abc.Mapping[str, int],
    workflow_id: str,
) -> None:
    """Write gates and touches, on Galera only: once per key and transaction."""
    if not galera.is_galera(connection):
        return
    if exclusive:
        galera.open_gates(
            connection,
            {key: (before[key], before[key] + count) for key, count in exclusive.items()},
        )
    shared = {key: gen for key, gen in before.items() if key not in exclusive}
    galera.touch_gates(connection, shared, workflow_id)


def _hand_out(
    wants: collections.abc.Sequence[Want],
    before: collections.abc.Mapping[str, int],
    exclusive: collections.abc.Mapping[str, int],
    modes: collections.abc.Mapping[str, Mode],
) -> list[Hold]:
    """Give each workflow its gens, in apply order, each exclusive take one of its own.

    Two workflows with the same exclusive gen would not see each other.
    """
    current = {
        # Taken exclusively only because it had no row: all its holders are shared, at the new gen.
        key: gen + (exclusive.get(key, 0) if modes[key] is Mode.SHARED else 0)
        for key, gen in before.items()
    }
    holds = []
    for want in wants:
        for key, mode in sorted(want.keys.items()):
            if mode is Mode.EXCLUSIVE:
                current[key] += 1
            holds.append(Hold(key, mode, current[key], want.workflow_id))
    return holds
