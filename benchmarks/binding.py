# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Whether requests notice hardware that takes 5 s to bind a port, when its binding is deferred.

Compared is the same request where the port is bound from memory, and beside it one that has nothing
to bind: a port without a host, in a cloud without the driver.
"""

import contextlib
import functools
import typing

from benchmarks import clouds, fabric, figures, pairs
from lab.databases import pool

GOAL = 1.05
BINDS_S = 5.0

_ON_HOST = {"binding:host_id": "switch-1"}


def _turn(cloud: clouds.Cloud, network_id: str, block: int, port: dict[str, str]) -> list[float]:
    took_ms = cloud.create_ports(network_id, block, **port)
    cloud.settle()
    return took_ms


def run(scale: figures.Scale, databases: pool.Pool) -> list[figures.Figure]:
    """Measure with the embedded conductor."""
    with contextlib.ExitStack() as stack:
        slow, fast = (stack.enter_context(contextlib.closing(fabric.Fabric())) for _ in range(2))
        slow.set_slow("binding", BINDS_S)
        asking = {**fabric.profile(slow), "options": {"fabric": {"asks_to_bind": True}}}
        lent: list[tuple[str, clouds.OurCloud, dict[str, str]]] = [
            (
                "deferred",
                stack.enter_context(
                    clouds.ours(databases, asking, workflow={"deferred_binding": "fabric"})
                ),
                _ON_HOST,
            ),
            (
                "from memory",
                stack.enter_context(clouds.ours(databases, fabric.profile(fast))),
                _ON_HOST,
            ),
            ("nothing to bind", stack.enter_context(clouds.ours(databases)), {}),
        ]
        sides: dict[str, typing.Callable[[], list[float]]] = {}
        for name, cloud, port in lent:
            network_id = cloud.network()
            cloud.settle()
            sides[name] = functools.partial(_turn, cloud, network_id, scale.block, port)
        turns = scale.turns_of(40)
        results = pairs.alternate(sides, turns=turns, warm_up=scale.warm_up)
        for _, cloud, _ in lent:
            cloud.require("port", scale.block * (turns + scale.warm_up))
    blocks = {name: clouds.Blocks(blocks=found) for name, found in results.items()}
    return [
        _figure(blocks, "from memory", GOAL, scale.block),
        _figure(blocks, "nothing to bind", None, scale.block),
    ]


def _figure(
    blocks: dict[str, clouds.Blocks], other: str, goal: float | None, block: int
) -> figures.Figure:
    deferred = blocks["deferred"]
    return figures.Figure(
        figure=f"p50 of create port: bound in a task by hardware that takes 5 s ÷ {other}",
        interval=pairs.median_ratio(deferred.medians, blocks[other].medians),
        goal=goal,
        n=len(deferred.blocks),
        beside={f"{name}, p50 in ms": round(one.p50, 2) for name, one in blocks.items()},
        note=f"embedded conductor; a turn is a block of {block} requests",
    )
