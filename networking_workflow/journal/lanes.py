# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Which lane each driver belongs to, as the processes that last started were told.

A workflow is for the drivers that its lane has. So a driver may change its lane only while nothing
of either lane is unfinished and no conductor is alive: what is recorded for one lane is never done
for another.
"""

import collections.abc
import dataclasses

import sqlalchemy as sa

from networking_workflow.journal import readiness, tables
from networking_workflow.model import errors, keys
from networking_workflow.model.states import FINAL, SyncState

_L, _S, _W = tables.lanes.c, tables.resource_sync.c, tables.workflows.c

_KNOWN = sa.select(_L.driver, _L.lane)

_UNFINISHED = (
    sa.select(_W.lane, _W.state, sa.func.count())
    .where(_W.state.not_in(sorted(FINAL)))
    .group_by(_W.lane, _W.state)
    .order_by(_W.lane, _W.state)
)

_OTHER = tables.resource_sync.alias("other")

_HAS_OTHER = (
    sa.exists()
    .where(
        _OTHER.c.lane == sa.bindparam("home"),
        _OTHER.c.resource_type == _S.resource_type,
        _OTHER.c.resource_id == _S.resource_id,
    )
    .correlate(tables.resource_sync)
)

_GIVEN_UP = _S.lane == sa.bindparam("given_up")

#: What is wrong in a lane that is given up, and what the lane that it falls to says of it.
_WRONG = (
    sa.select(
        *(_S.resource_type, _S.resource_id, _S.sync_state, _S.sync_error, _S.updated_at),
        _OTHER.c.sync_state.label("other_state"),
    )
    .join(
        _OTHER,
        sa.and_(
            _OTHER.c.lane == sa.bindparam("home"),
            _OTHER.c.resource_type == _S.resource_type,
            _OTHER.c.resource_id == _S.resource_id,
        ),
    )
    .where(_GIVEN_UP, _S.sync_state.in_((SyncState.ERROR, SyncState.DRIFTED)))
)

_SAY = (
    sa.update(tables.resource_sync)
    .where(
        _S.lane == sa.bindparam("home"),
        _S.resource_type == sa.bindparam("of_type"),
        _S.resource_id == sa.bindparam("of_id"),
    )
    .values(
        sync_state=sa.bindparam("new_state"),
        sync_error=sa.bindparam("new_error"),
        updated_at=sa.bindparam("new_time"),
    )
)

_DROP = sa.delete(tables.resource_sync).where(_GIVEN_UP)

_MOVE = sa.update(tables.resource_sync).where(_GIVEN_UP).values(lane=sa.bindparam("home"))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What differs between the lanes that were and those that are to be."""

    moved: dict[str, tuple[str, str]]  #: driver -> its lane before and now
    gone: frozenset[str]  #: lanes that no driver is in any more
    new: frozenset[str]  #: lanes that there were none of
    removed: dict[str, str]  #: driver that is configured no more -> its lane

    @property
    def lanes(self) -> set[str]:
        """Return every lane that it concerns."""
        return set(self.gone | self.new).union(*self.moved.values())


def known(connection: sa.Connection) -> dict[str, str]:
    """Return the lane of each driver, and of those that left work behind."""
    return {driver: lane for driver, lane in connection.execute(_KNOWN)}


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
        gone=frozenset(before.values()) - set(placed.values()),
        new=frozenset(placed.values()) - set(before.values()) - {keys.DEFAULT_LANE},
        removed={driver: lane for driver, lane in before.items() if driver not in placed},
    )


def refusal(connection: sa.Connection, placed: collections.abc.Mapping[str, str]) -> str | None:
    """Return why these cannot be the lanes now, and what to do; None: they can."""
    before = known(connection)
    change = compared(before, placed)
    if not change.lanes:
        return None
    moves = [
        f"driver {driver} from lane {then} to lane {now}"
        for driver, (then, now) in sorted(change.moved.items())
    ]
    moves = moves or [f"lane {lane} away" for lane in sorted(change.gone)]
    moves = moves or [f"a driver to the new lane {lane}" for lane in sorted(change.new)]
    what = f"[workflow] driver_graph moves {' and '.join(moves)}"
    was = ", ".join(f"{driver} in {lane}" for driver, lane in sorted(before.items())) or "one lane"
    counts = [
        f"{number} {state} in lane {lane}"
        for lane, found in _unfinished(connection).items()
        if lane in change.lanes
        for state, number in found.items()
    ]
    if counts:
        return (
            f"{what}, and workflows are unfinished there: {', '.join(counts)}. Start with the "
            f"graph as it was ({was}), let them finish, retry, skip or cancel those that FAILED, "
            "then change it."
        )
    alive = readiness.conductors(connection).by_host
    if alive:
        return (
            f"{what}, and conductors are alive that know it as it was ({was}): on "
            f"{', '.join(sorted(alive))}. Stop every process of Neutron and every conductor, then "
            "start them with the new one. A conductor that was killed counts for up to [workflow] "
            "lease_s."
        )
    return None


def settle(connection: sa.Connection, placed: collections.abc.Mapping[str, str], home: str) -> None:
    """Make these the lanes of the drivers.

    A driver that is removed is remembered as long as its lane has work: it cannot come back into
    another one meanwhile.

    :param home: one of the lanes; it says from now on what a lane that is given up has said.
    :raises ConfigurationError: if workflows of a lane that changes are unfinished, or conductors
        are alive.
    """
    why_not = refusal(connection, placed)
    if why_not is not None:
        raise errors.ConfigurationError(f"{why_not}")
    before = known(connection)
    change = compared(before, placed)
    busy = _unfinished(connection)
    left = {driver: lane for driver, lane in change.removed.items() if lane in busy}
    for lane in sorted(change.gone - {home}):
        heirs = [driver for driver, (then, _) in change.moved.items() if then == lane]
        _give_up(connection, lane, home if heirs else None)
    wanted = {**placed, **left}
    if wanted == before:
        return
    connection.execute(sa.delete(tables.lanes))
    if wanted:
        rows = [{"driver": driver, "lane": lane} for driver, lane in sorted(wanted.items())]
        connection.execute(sa.insert(tables.lanes), rows)


def _unfinished(connection: sa.Connection) -> dict[str, dict[str, int]]:
    """Return how many workflows of each lane are in each state that is not their end."""
    found: dict[str, dict[str, int]] = {}
    for lane, state, number in connection.execute(_UNFINISHED):
        found.setdefault(lane, {})[state] = number
    return found


def _give_up(connection: sa.Connection, lane: str, home: str | None) -> None:
    """Let another lane say what this one said of resources; None: nobody has its drivers now.

    What is worse stays seen, with its reason.
    """
    names = {"given_up": lane, "home": home}
    if home is None:
        connection.execute(_DROP, {"given_up": lane})
        return
    for row in connection.execute(_WRONG, names).all():
        pair = [SyncState(row.other_state), SyncState(row.sync_state)]
        if SyncState.worst(pair) != row.other_state:
            connection.execute(
                _SAY,
                {
                    **{"home": home, "of_type": row.resource_type, "of_id": row.resource_id},
                    **{"new_state": row.sync_state, "new_error": row.sync_error},
                    "new_time": row.updated_at,
                },
            )
    connection.execute(_DROP.where(_HAS_OTHER), names)
    connection.execute(_MOVE, names)
