# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Whether requests notice hardware that takes 5 s to bind a port, when its binding is deferred.

The other side is a cloud without that driver, where another one binds the same port in the request,
from memory; and beside it a port there that has no host, so that there is nothing to bind.
"""

import contextlib
import functools
import typing

import sqlalchemy as sa

from benchmarks import clouds, fabric, figures, pairs
from lab.databases import pool
from networking_workflow.journal import tables
from networking_workflow.model import states

GOAL = 1.05
BINDS_S = 5.0

_ON_HOST = {"binding:host_id": "switch-1"}

_MEMORY = {
    "mechanism_drivers": ("memory",),
    "drivers": {"memory": "benchmarks.memory:MemoryDriver"},
}

DEFERRED, WITHOUT, NOTHING = "deferred", "without it", "nothing to bind"


def _turn(cloud: clouds.Cloud, network_id: str, block: int, port: dict[str, str]) -> list[float]:
    took_ms = cloud.create_ports(network_id, block, **port)
    cloud.settle()
    return took_ms


def run(scale: figures.Scale, databases: pool.Pool) -> list[figures.Figure]:
    """Measure with separate conductors."""
    with contextlib.ExitStack() as stack:
        hardware = stack.enter_context(contextlib.closing(fabric.Fabric()))
        hardware.set_slow("binding", BINDS_S)
        asking = {**fabric.profile(hardware), "options": {"fabric": {"asks_to_bind": True}}}
        deferring = stack.enter_context(
            clouds.ours(
                databases, asking, conductor="separate", workflow={"deferred_binding": "fabric"}
            )
        )
        without = stack.enter_context(clouds.ours(databases, _MEMORY, conductor="separate"))
        sides: dict[str, typing.Callable[[], list[float]]] = {}
        networks = {cloud: cloud.network() for cloud in (deferring, without)}
        for name, cloud, port in (
            (DEFERRED, deferring, _ON_HOST),
            (WITHOUT, without, _ON_HOST),
            (NOTHING, without, {}),
        ):
            sides[name] = functools.partial(_turn, cloud, networks[cloud], scale.block, port)
            cloud.settle()
        turns = scale.turns_of(40)
        results = pairs.alternate(sides, turns=turns, warm_up=scale.warm_up)
        number = scale.block * (turns + scale.warm_up)
        deferring.require("port", number)
        without.require("port", 2 * number)
        _require_bound(deferring, number)
        _require_bound(without, number)
        _require_asked(deferring, number)
    blocks = {name: clouds.Blocks(blocks=found) for name, found in results.items()}
    return [
        _figure(blocks, WITHOUT, GOAL, scale.block),
        _figure(blocks, NOTHING, None, scale.block),
    ]


def _require_bound(cloud: clouds.Cloud, number: int) -> None:
    """Return if exactly so many ports are bound.

    :raises Unsettled: otherwise.
    """
    bindings = sa.table("ml2_port_bindings", sa.column("vif_type"))
    bound = sa.select(sa.func.count()).where(bindings.c.vif_type == "other")
    with cloud.engine.connect() as connection:
        found = connection.scalar(bound)
    if found != number:
        raise clouds.Unsettled(f"{number} ports were to be bound, {found} are")


def _require_asked(cloud: clouds.Cloud, number: int) -> None:
    """Return if so many tasks have bound a port, and none of them sooner than the hardware can.

    :raises Unsettled: otherwise.
    """
    t = tables.tasks.c
    done = sa.select(t.started_at, t.finished_at).where(
        t.name == "binding-fabric", t.task_state == states.TaskState.SUCCESS
    )
    with cloud.engine.connect() as connection:
        took_s = [(end - begin).total_seconds() for begin, end in connection.execute(done)]
    if len(took_s) != number or min(took_s) < BINDS_S:
        raise clouds.Unsettled(
            f"{number} bindings of {BINDS_S:g} s were to be made: {len(took_s)} were, the fastest "
            f"within {min(took_s, default=0.0):.2f} s"
        )


def _figure(
    blocks: dict[str, clouds.Blocks], other: str, goal: float | None, block: int
) -> figures.Figure:
    deferred = blocks[DEFERRED]
    return figures.Figure(
        figure=f"p50 of create port: bound in a task by hardware that takes 5 s ÷ {other}",
        interval=pairs.median_ratio(deferred.medians, blocks[other].medians),
        goal=goal,
        n=len(deferred.blocks),
        beside={f"{name}, p50 in ms": round(one.p50, 2) for name, one in blocks.items()},
        note=f"separate conductors; a turn is a block of {block} requests",
    )
