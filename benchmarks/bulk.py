# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What capture costs a request that creates many ports at once, without a backend."""

import functools

from benchmarks import clouds, figures, pairs
from lab.databases import pool

GOAL = 1.15
PORTS = 100
QUICK_PORTS = 5


class _Side:
    """One side's turn: one request, on a network of its own.

    For each new port Neutron reads all addresses that its subnet has given: with ports of earlier
    turns that would be most of what is measured.
    """

    def __init__(self, cloud: clouds.Cloud, ports: int) -> None:
        self._cloud, self._ports = cloud, ports
        self.turns = 0

    def turn(self) -> float:
        network_id = self._cloud.network()
        self._cloud.settle()
        self.turns += 1
        took_ms = self._cloud.create_ports_at_once(network_id, self._ports)
        self._cloud.settle()
        return took_ms


def run(scale: figures.Scale, databases: pool.Pool) -> list[figures.Figure]:
    """Measure with the conductor embedded, as it comes, and with a separate one."""
    ports = QUICK_PORTS if scale.quick else PORTS
    turns = scale.turns_of(40)
    with (
        clouds.stock(databases) as stock,
        clouds.ours(databases) as embedded,
        clouds.ours(databases, conductor="separate") as separate,
    ):
        sides = {
            name: _Side(cloud, ports)
            for name, cloud in {"stock": stock, "embedded": embedded, "separate": separate}.items()
        }
        results = pairs.alternate(
            {name: functools.partial(side.turn) for name, side in sides.items()},
            turns=turns,
            warm_up=scale.warm_up,
        )
        for name, cloud in {"embedded": embedded, "separate": separate}.items():
            cloud.require("port", sides[name].turns * ports)
    return [
        _figure(name, ports, results[name], results["stock"]) for name in ("embedded", "separate")
    ]


def _figure(name: str, ports: int, ours: list[float], stock: list[float]) -> figures.Figure:
    return figures.Figure(
        figure=f"p50 of create {ports} ports at once, no backend, {name} conductor: ours ÷ stock",
        interval=pairs.median_ratio(ours, stock),
        goal=GOAL,
        n=len(ours),
        beside={
            "ours_p50_ms": round(pairs.quantile(ours, 0.5), 1),
            "stock_p50_ms": round(pairs.quantile(stock, 0.5), 1),
        },
        note="no mechanism driver; every workflow has ended before the next request",
    )
