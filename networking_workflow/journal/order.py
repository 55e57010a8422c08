# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What stands before a workflow: earlier holders of its keys, in a mode that conflicts.

When a workflow's row is visible, all holds before its own are visible too (they were committed
earlier, under the same locks) and no new one can appear. So these are plain reads.
"""

import collections.abc
import functools
import typing

import sqlalchemy as sa

from networking_workflow.journal import tables
from networking_workflow.journal.takes import Hold
from networking_workflow.model.keys import Mode

_H = tables.holds.c

#: Served by the index on workflow_id.
_HOLDS_OF = sa.select(_H.k, _H.mode, _H.gen, _H.workflow_id).where(
    _H.workflow_id.in_(sa.bindparam("ids", expanding=True))
)


def holds_of(
    connection: sa.Connection, workflow_ids: collections.abc.Sequence[str]
) -> dict[str, list[Hold]]:
    """Return the holds of each workflow, sorted."""
    found: dict[str, list[Hold]] = {workflow_id: [] for workflow_id in workflow_ids}
    for row in connection.execute(_HOLDS_OF, {"ids": list(workflow_ids)}):
        found[row.workflow_id].append(Hold(row.k, Mode(row.mode), row.gen, row.workflow_id))
    return {key: sorted(holds, key=_by_mode) for key, holds in found.items()}


def holds_in(rows: collections.abc.Iterable[sa.Row[typing.Any]]) -> list[Hold]:
    """Return the holds of one workflow, sorted, from rows that have each in their columns.

    A row may come twice, and one without any hold has None.
    """
    holds = {Hold(row.k, Mode(row.mode), row.gen, row.id) for row in rows if row.k is not None}
    return sorted(holds, key=_by_mode)


def _by_mode(hold: Hold) -> tuple[str, str, int]:
    return hold.mode, hold.k, hold.gen


class Before(typing.NamedTuple):
    """A hold that stands before another workflow's."""

    workflow_id: str
    k: str
    mode: Mode
    below: int  #: its gen is below this one


def before(
    connection: sa.Connection,
    holds: collections.abc.Sequence[Hold],
    except_for: collections.abc.Sequence[str],
) -> Before | None:
    """Return one that stands before the holder of ``holds``, the latest on its key; None: nobody.

    Whoever is in ``except_for``, the holder itself among them, does not count.
    """
    for start in range(0, len(holds), MOST_HOLDS):
        look = Look(holds[start : start + MOST_HOLDS], except_for)
        found = look.found(connection.execute(_latest(*look.shape), look.parameters).one())
        if found is not None:
            return found
    return None


#: What one statement looks before, at most.
MOST_HOLDS = 32

_MOST_PROBES = 2 * MOST_HOLDS


class Look:
    """What one statement asks to find what stands before ``holds``, at most :data:`MOST_HOLDS`."""

    def __init__(
        self,
        holds: collections.abc.Sequence[Hold],
        except_for: collections.abc.Sequence[str],
    ) -> None:
        self._probes = [probe for hold in holds for probe in _probes(hold)]
        alone = len(except_for) == 1
        self.shape = (len(self._probes), alone)  #: what :func:`columns` are asked for
        self.parameters: dict[str, typing.Any] = {
            "except_for": except_for[0] if alone else except_for
        }
        for index, (k, mode, below) in enumerate(self._probes):
            self.parameters |= {f"k{index}": k, f"mode{index}": mode, f"below{index}": below}

    def found(self, row: sa.Row[typing.Any]) -> Before | None:
        """Return what a row whose first columns are :func:`columns` says."""
        for found, probe in zip(row, self._probes, strict=False):
            if found is not None:
                return Before(found, *probe)
        return None


def _probes(hold: Hold) -> list[tuple[str, Mode, int]]:
    """Return where to look: exclusive behind all, shared behind exclusive."""
    if hold.mode is Mode.SHARED:
        return [(hold.k, Mode.EXCLUSIVE, hold.gen + 1)]
    return [(hold.k, Mode.EXCLUSIVE, hold.gen), (hold.k, Mode.SHARED, hold.gen)]


@functools.lru_cache(maxsize=2 * _MOST_PROBES)
def _latest(probes: int, alone: bool) -> sa.Select[typing.Any]:
    return sa.select(*columns(probes, alone))


def columns(probes: int, alone: bool) -> list[sa.Label[typing.Any]]:
    """Return ``probes`` look-ups, each the end of a range of the primary key.

    Constants, not a join: MariaDB reads all holds of a key for a bound that it learns late; and all
    of them to sort them, were the constant columns in the ORDER BY too. With ``alone``, which is
    what most claims ask, one workflow does not count: a list would be put together at each call.
    """
    others = (
        _H.workflow_id != sa.bindparam("except_for")
        if alone
        else _H.workflow_id.not_in(sa.bindparam("except_for", expanding=True))
    )
    return [
        sa.select(_H.workflow_id)
        .where(
            _H.k == sa.bindparam(f"k{index}"),
            _H.mode == sa.bindparam(f"mode{index}"),
            _H.gen < sa.bindparam(f"below{index}"),
            others,
        )
        .order_by(_H.gen.desc())
        .limit(sa.literal_column("1"))
        .scalar_subquery()
        .label(f"before{index}")
        for index in range(probes)
    ]


_STILL: sa.Select[typing.Any] = (
    sa.select(sa.literal_column("1"))
    .where(
        _H.k == sa.bindparam("k"),
        _H.mode == sa.bindparam("mode"),
        _H.gen < sa.bindparam("below"),
        _H.workflow_id == sa.bindparam("blocker"),
    )
    .limit(1)
)


def still_before(connection: sa.Connection, blocker: Before) -> bool:
    """Return whether the blocker still holds what it was found with.

    Asked with its row locked: one that took its keys anew in between has a later place now.
    """
    parameters = {
        "k": blocker.k,
        "mode": blocker.mode,
        "below": blocker.below,
        "blocker": blocker.workflow_id,
    }
    return connection.execute(_STILL, parameters).first() is not None
