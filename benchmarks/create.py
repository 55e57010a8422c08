# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What capture costs a request when there is no backend: create network, create port."""

from benchmarks import clouds, figures, pairs
from lab.databases import pool

GOAL = 1.10

NOTE = (
    "ours: no mechanism driver, {conductor} conductor at normal priority, so that each workflow is "
    "also claimed and settled; a turn is a block of {block} requests, and its workflows have ended "
    "before stock has its turn"
)


class _Side:
    """One side's turn: a block of networks, then a block of ports on a new network."""

    def __init__(self, cloud: clouds.Cloud, block: int) -> None:
        self._cloud, self._block = cloud, block
        self.networks = self.ports = 0

    def turn(self) -> tuple[list[float], list[float]]:
        networks = self._cloud.create_networks(self._block)
        self._cloud.settle()
        network_id = self._cloud.network()
        self._cloud.settle()
        ports = self._cloud.create_ports(network_id, self._block)
        self._cloud.settle()
        self.networks += self._block + 1
        self.ports += self._block
        return networks, ports


def run(scale: figures.Scale, databases: pool.Pool) -> list[figures.Figure]:
    """Measure with the conductor embedded, as it comes, and with a separate one."""
    with (
        clouds.stock(databases) as stock,
        clouds.ours(databases) as embedded,
        clouds.ours(databases, conductor="separate") as separate,
    ):
        sides = {
            "stock": _Side(stock, scale.block),
            "embedded": _Side(embedded, scale.block),
            "separate": _Side(separate, scale.block),
        }
        turns = scale.turns_of(80)
        results = pairs.alternate(
            {name: side.turn for name, side in sides.items()}, turns=turns, warm_up=scale.warm_up
        )
        for name, cloud in (("embedded", embedded), ("separate", separate)):
            cloud.require("network", sides[name].networks)
            cloud.require("port", sides[name].ports)
    blocks = {
        (name, kind): clouds.Blocks(blocks=[turn[place] for turn in results[name]])
        for name in results
        for place, kind in enumerate(("network", "port"))
    }
    return [
        _figure(kind, name, blocks[name, kind], blocks["stock", kind], scale.block)
        for name in ("embedded", "separate")
        for kind in ("network", "port")
    ]


def _figure(
    kind: str, name: str, ours: clouds.Blocks, stock: clouds.Blocks, block: int
) -> figures.Figure:
    return figures.Figure(
        figure=f"p50 of create {kind}, no backend, {name} conductor: ours ÷ stock",
        interval=pairs.median_ratio(ours.medians, stock.medians),
        goal=GOAL,
        n=len(ours.blocks),
        beside={
            "ours_p50_ms": round(ours.p50, 2),
            "stock_p50_ms": round(stock.p50, 2),
            "p50_ratio_of_all": round(ours.p50 / stock.p50, 3),
            "ours_p95_ms": round(ours.p95, 2),
            "stock_p95_ms": round(stock.p95, 2),
            "requests_a_side": len(ours.all),
        },
        note=NOTE.format(conductor=name, block=block),
    )
