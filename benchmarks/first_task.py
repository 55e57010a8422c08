# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""How soon after a commit its first task starts, on an idle system."""

import contextlib
import functools
import time
import typing

import sqlalchemy as sa

from benchmarks import clouds, fabric, figures, pairs, probes
from lab.databases import pool

GOAL = 10.0
SHARE = 0.95

_TABLE = sa.Table(
    "bench_update",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("n", sa.Integer),
)


class Reference:
    """One committed UPDATE and its read by another connection, on the same server."""

    def __init__(self, database: pool.Database) -> None:
        self._engine = sa.create_engine(database.url, isolation_level="READ COMMITTED")
        self._writer, self._reader = self._engine.connect(), self._engine.connect()
        self._number = 0
        _TABLE.create(self._engine)
        with self._writer.begin():
            self._writer.execute(sa.insert(_TABLE), {"id": 1, "n": 0})

    def turn(self) -> float:
        """Return the milliseconds of both together."""
        self._number += 1
        started = time.perf_counter()
        with self._writer.begin():
            self._writer.execute(_UPDATE, {"number": self._number})
        with self._reader.begin():
            seen = self._reader.execute(_READ).scalar_one()
        took_ms = (time.perf_counter() - started) * 1000
        if seen != self._number:
            raise clouds.Unsettled(f"wrote {self._number}, read {seen}")
        return took_ms

    def close(self) -> None:
        """Close both connections."""
        self._writer.close()
        self._reader.close()
        self._engine.dispose()


_UPDATE = sa.update(_TABLE).where(_TABLE.c.id == 1).values(n=sa.bindparam("number"))
_READ = sa.select(_TABLE.c.n).where(_TABLE.c.id == 1)


def _turn(cloud: clouds.OurCloud, network_id: str, moments: probes.Moments) -> float:
    """Create one port on the idle system; return the milliseconds from its commit to its task.

    :raises Unsettled: if the moments of exactly one workflow did not arrive.
    """
    moments.committed.clear()
    moments.started.clear()
    cloud.create_ports(network_id, 1)
    cloud.settle()
    moments.take()
    if len(moments.committed) != 1 or moments.committed.keys() != moments.started.keys():
        raise clouds.Unsettled(f"committed {moments.committed}, started {moments.started}")
    ((workflow_id, committed),) = moments.committed.items()
    return (moments.started[workflow_id] - committed) * 1000


def run(scale: figures.Scale, databases: pool.Pool) -> list[figures.Figure]:
    """Measure with the embedded conductor and with a separate one."""
    with contextlib.ExitStack() as stack:
        blank = stack.enter_context(databases.blank("mariadb"))
        reference = stack.enter_context(contextlib.closing(Reference(blank)))
        moments = stack.enter_context(contextlib.closing(probes.Moments()))
        backend = stack.enter_context(contextlib.closing(fabric.Fabric()))
        sides: dict[str, typing.Callable[[], float]] = {}
        for conductor in ("embedded", "separate"):
            cloud = stack.enter_context(
                clouds.probed(databases, fabric.profile(backend), conductor, moments)
            )
            network_id = cloud.network()
            cloud.create_ports(network_id, 1)
            cloud.settle()
            moments.take()
            sides[f"{conductor} reference"] = reference.turn
            sides[conductor] = functools.partial(_turn, cloud, network_id, moments)
        results = pairs.alternate(sides, turns=scale.turns_of(200), warm_up=scale.warm_up)
    return [
        _figure(conductor, results[conductor], results[f"{conductor} reference"])
        for conductor in ("embedded", "separate")
    ]


def _figure(conductor: str, ours: list[float], reference: list[float]) -> figures.Figure:
    return figures.Figure(
        figure=f"commit to first task start, {conductor} conductor: p95 ÷ p95 of UPDATE and read",
        interval=pairs.quantile_ratio(ours, reference, SHARE),
        goal=GOAL,
        n=len(ours),
        beside={
            "p50_ms": round(pairs.quantile(ours, 0.5), 2),
            "p95_ms": round(pairs.quantile(ours, SHARE), 2),
            "reference_p50_ms": round(pairs.quantile(reference, 0.5), 2),
            "reference_p95_ms": round(pairs.quantile(reference, SHARE), 2),
        },
        note="create port through HTTP; from the return of COMMIT to the call of the driver",
    )
