# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Two slow drivers that do not depend on each other: together they take as long as the slower."""

import collections.abc
import contextlib
import functools
import typing

import sqlalchemy as sa

from benchmarks import clouds, fabric, figures, pairs
from lab import fabrics
from lab.databases import pool
from networking_workflow.journal import tables

GOAL = 1.1
API_GOAL = 1.05
LATENCY_S = 0.2

_SECOND = "fabric_second"
_W, _T = tables.workflows.c, tables.tasks.c

#: Workflows of the newest operation.
_NEWEST = sa.select(_W.id, _W.started_at, _W.finished_at).where(
    _W.operation_id
    == sa.select(_W.operation_id).order_by(_W.created_at.desc()).limit(1).scalar_subquery()
)

_TASKS = sa.select(_T.started_at, _T.finished_at).where(
    _T.workflow_id.in_(sa.bindparam("ids", expanding=True))
)


def profile(
    both: collections.abc.Sequence[fabric.Fabric], driver_graph: str
) -> dict[str, typing.Any]:
    """Return what makes a Neutron use two fabrics."""
    return {
        "mechanism_drivers": ("fabric", _SECOND),
        "drivers": fabrics.DRIVERS,
        "fabric_url": both[0].url,
        "options": {_SECOND: {"url": both[1].url}, "workflow": {"driver_graph": driver_graph}},
    }


def _turn(cloud: clouds.OurCloud, network_id: str, lanes: int) -> tuple[float, float]:
    """Create a port on the idle system; return seconds of its workflows, and of the slower driver.

    From the first claim to the last end: both are in the journal, by the clock of the database.

    :raises Unsettled: if it made another number of workflows.
    """
    cloud.create_ports(network_id, 1)
    cloud.settle()
    with cloud.engine.connect() as connection:
        rows = connection.execute(_NEWEST).all()
        calls = connection.execute(_TASKS, {"ids": [row.id for row in rows]}).all()
    if len(rows) != lanes or len(calls) != 2:
        raise clouds.Unsettled(f"{len(rows)} workflows with {len(calls)} tasks")
    whole = max(row.finished_at for row in rows) - min(row.started_at for row in rows)
    slower = max(call.finished_at - call.started_at for call in calls)
    return whole.total_seconds(), slower.total_seconds()


def _requests(
    cloud: clouds.OurCloud,
    network_id: str,
    both: collections.abc.Sequence[fabric.Fabric],
    latency_s: float,
    block: int,
) -> list[float]:
    for one in both:
        one.set_latency(latency_s)
    took_ms = cloud.create_ports(network_id, block)
    cloud.settle()
    return took_ms


def run(scale: figures.Scale, databases: pool.Pool) -> list[figures.Figure]:
    """Measure with a separate conductor; one lane beside two."""
    turns = scale.turns_of(40)
    with contextlib.ExitStack() as stack:
        both = [stack.enter_context(contextlib.closing(fabric.Fabric())) for _ in range(2)]
        apart = stack.enter_context(
            clouds.ours(databases, profile(both, f"{_SECOND} independent"), conductor="separate")
        )
        chain = stack.enter_context(clouds.ours(databases, profile(both, ""), conductor="separate"))
        networks = {cloud: cloud.network() for cloud in (apart, chain)}
        for cloud in networks:
            cloud.settle()
        for one in both:
            one.set_latency(LATENCY_S)
        times = pairs.alternate(
            {
                "two lanes": functools.partial(_turn, apart, networks[apart], 2),
                "one lane": functools.partial(_turn, chain, networks[chain], 1),
            },
            turns=turns,
            warm_up=scale.warm_up,
        )
        sides = {
            "two lanes at 0 ms": (apart, 0.0),
            "two lanes at 200 ms": (apart, LATENCY_S),
            "one lane at 200 ms": (chain, LATENCY_S),
        }
        requests = pairs.alternate(
            {
                name: functools.partial(
                    _requests, cloud, networks[cloud], both, latency_s, scale.block
                )
                for name, (cloud, latency_s) in sides.items()
            },
            turns=turns,
            warm_up=scale.warm_up,
        )
    whole, slower = zip(*times["two lanes"], strict=True)
    blocks = {name: clouds.Blocks(blocks=found) for name, found in requests.items()}
    return [
        figures.Figure(
            figure="two independent drivers of 200 ms: time of both workflows ÷ slower driver",
            interval=pairs.median_ratio(whole, slower),
            goal=GOAL,
            n=len(whole),
            beside={
                "two lanes, p50 in ms": round(pairs.quantile(whole, 0.5) * 1000, 1),
                "slower driver, p50 in ms": round(pairs.quantile(slower, 0.5) * 1000, 1),
                "one lane, p50 in ms": round(
                    pairs.quantile([one for one, _ in times["one lane"]], 0.5) * 1000, 1
                ),
            },
            note="create port; separate conductor; from the first claim to the last end",
        ),
        *(_of_requests(blocks, other, scale.block) for other in list(blocks) if other != _SLOW),
    ]


#: The requests that the figures of the API are about.
_SLOW = "two lanes at 200 ms"


def _of_requests(blocks: dict[str, clouds.Blocks], other: str, block: int) -> figures.Figure:
    return figures.Figure(
        figure=f"p50 of create port, {_SLOW} ÷ {other}",
        interval=pairs.median_ratio(blocks[_SLOW].medians, blocks[other].medians),
        goal=API_GOAL,
        n=len(blocks[other].blocks),
        beside={f"{name}, p50 in ms": round(one.p50, 2) for name, one in blocks.items()},
        note=f"separate conductor; a turn is a block of {block} requests",
    )
