# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Which lane each driver belongs to, as the processes that last started were told.

A workflow is for the drivers that its lane has. So a driver may change its lane only while nothing
of either lane is unfinished: what is recorded for one lane is never done for another.
"""

import collections.abc
import dataclasses
import typing

import sqlalchemy as sa

from networking_workflow.journal import tables
from networking_workflow.model import errors, keys
from networking_workflow.model.states import FINAL, SyncState

_L, _S, _W = tables.lanes.c, tables.resource_sync.c, tables.workflows.c

_KNOWN = sa.select(_L.driver, _L.lane)

_UNFINISHED = (
    sa.select(_W.lane, _W.state, sa.func.count())
    .where(
        _W.state.not_in(sorted(FINAL)),
        _W.lane.in_(sa.bindparam("lanes", expanding=True)),
    )
    .group_by(_W.lane, _W.state)
    .order_by(_W.lane, _W.state)
)

_OTHER = tables.resource_sync.alias("other")

_HAS_ROW = sa.exists().where(
    _OTHER.c.lane == sa.bindparam("target"),
    _OTHER.c.resource_type == _S.resource_type,
    _OTHER.c.resource_id == _S.resource_id,
)

#: Read first and written by key: MariaDB changes no table that the same statement reads.
_ROWS_OF = sa.select(_S.resource_type, _S.resource_id, _S.sync_state, _HAS_ROW.label("has")).where(
    _S.lane == sa.bindparam("source")
)

_THIS = (
    _S.lane == sa.bindparam("of_lane"),
    _S.resource_type == sa.bindparam("of_type"),
    _S.resource_id == sa.bindparam("of_id"),
)

_MOVE = sa.update(tables.resource_sync).where(*_THIS).values(lane=sa.bindparam("new_lane"))

_WORSE = sa.update(tables.resource_sync).where(*_THIS).values(sync_state=sa.bindparam("new_state"))

_DROP = sa.delete(tables.resource_sync).where(*_THIS)

#: What must be seen although its lane is gone.
_WRONG = (SyncState.ERROR, SyncState.DRIFTED)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What differs between the lanes that were and those that are to be."""

    moved: dict[str, tuple[str, str]]  #: driver -> its lane before and now
    gone: frozenset[str]  #: lanes that no driver is in any more

    @property
    def lanes(self) -> set[str]:
        """Return every lane that it concerns."""
        return set(self.gone).union(*self.moved.values())


def known(connection: sa.Connection) -> dict[str, str]:
    """Return the lane of each driver."""
    return {driver: lane for driver, lane in connection.execute(_KNOWN)}


def settle(connection: sa.Connection, placed: collections.abc.Mapping[str, str]) -> None:
    """Make these the lanes of the drivers.

    :raises ConfigurationError: if workflows of a lane that changes are unfinished.
    """
    before = known(connection)
    change = compared(before, placed)
    if change.lanes:
        _refuse_unfinished(connection, before, change)
    for lane in sorted(change.gone):
        heirs = sorted(now for then, now in change.moved.values() if then == lane)
        _merge(connection, lane, heirs[0] if heirs else keys.DEFAULT_LANE)
    connection.execute(sa.delete(tables.lanes))
    if placed:
        rows = [{"driver": driver, "lane": lane} for driver, lane in sorted(placed.items())]
        connection.execute(sa.insert(tables.lanes), rows)


def compared(
    then: collections.abc.Mapping[str, str], placed: collections.abc.Mapping[str, str]
) -> Change:
    """Return what changes. Before the first time every driver was in the default lane."""
    before = then or dict.fromkeys(placed, keys.DEFAULT_LANE)
    return Change(
        moved={
            driver: (before[driver], lane)
            for driver, lane in placed.items()
            if before.get(driver, lane) != lane
        },
        gone=frozenset(before.values()) - set(placed.values()) - {keys.DEFAULT_LANE},
    )


def _refuse_unfinished(
    connection: sa.Connection, then: collections.abc.Mapping[str, str], change: Change
) -> None:
    found: list[typing.Any] = list(connection.execute(_UNFINISHED, {"lanes": sorted(change.lanes)}))
    if not found:
        return
    moves = [
        f"driver {driver} from lane {before} to lane {now}"
        for driver, (before, now) in sorted(change.moved.items())
    ]
    moves += [f"lane {lane} away" for lane in sorted(change.gone) if not change.moved]
    counts = ", ".join(f"{number} {state} in lane {lane}" for lane, state, number in found)
    was = ", ".join(f"{driver} in {lane}" for driver, lane in sorted(then.items()))
    raise errors.ConfigurationError(
        f"[workflow] driver_graph moves {' and '.join(moves)}, and workflows are unfinished there: "
        f"{counts}. Start with the graph as it was ({was or 'one lane'}), let them finish, retry, "
        "skip or cancel those that FAILED, then change it."
    )


def _merge(connection: sa.Connection, source: str, target: str) -> None:
    """Let a lane's resources show their state in another; what is wrong stays seen."""
    for row in connection.execute(_ROWS_OF, {"source": source, "target": target}).all():
        this = {"of_lane": source, "of_type": row.resource_type, "of_id": row.resource_id}
        if not row.has:
            connection.execute(_MOVE, {**this, "new_lane": target})
            continue
        if row.sync_state in _WRONG:
            connection.execute(_WORSE, {**this, "of_lane": target, "new_state": row.sync_state})
        connection.execute(_DROP, this)
