# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What capture costs a request when there is no backend: create network, create port."""

import functools

from benchmarks import clouds, figures, pairs
from lab.databases import pool

GOAL = 1.10

ALTERNATING = (
    "no mechanism driver; requests alternate, and each workflow was claimed and settled before "
    "the next request, of whichever side"
)
BURST = (
    "no mechanism driver; {block} requests back to back, so that workflows are claimed and settled "
    "while later requests of the block are answered: with an embedded conductor by the same process"
)

#: Requests back to back where that is measured.
BLOCK = 4


class _Side:
    """One side's turn: networks, then ports on a network that is there."""

    def __init__(self, cloud: clouds.Cloud) -> None:
        self._cloud = cloud
        self._network_id = cloud.network()
        cloud.settle()
        self.networks, self.ports = 1, 0

    def turn(self, block: int) -> tuple[list[float], list[float]]:
        networks = self._cloud.create_networks(block)
        self._cloud.settle()
        ports = self._cloud.create_ports(self._network_id, block)
        self._cloud.settle()
        self.networks += block
        self.ports += block
        return networks, ports


def run(scale: figures.Scale, databases: pool.Pool) -> list[figures.Figure]:
    """Measure with the conductor embedded, as it comes, and with a separate one."""
    with (
        clouds.stock(databases) as stock,
        clouds.ours(databases) as embedded,
        clouds.ours(databases, conductor="separate") as separate,
    ):
        ours = {"embedded": embedded, "separate": separate}
        sides = {name: _Side(cloud) for name, cloud in {"stock": stock, **ours}.items()}
        alternating = _measure(sides, 1, scale.turns_of(120), scale.warm_up)
        burst = _measure(sides, BLOCK, min(30, scale.turns_of(30)), 1)
        for name, cloud in ours.items():
            cloud.require("network", sides[name].networks)
            cloud.require("port", sides[name].ports)
    return [
        *_figures(alternating, "", ALTERNATING, GOAL),
        *_figures(burst, f", {BLOCK} back to back", BURST.format(block=BLOCK), None),
    ]


#: (side, kind) -> its requests
Results = dict[tuple[str, str], clouds.Blocks]


def _measure(sides: dict[str, _Side], block: int, turns: int, warm_up: int) -> Results:
    results = pairs.alternate(
        {name: functools.partial(side.turn, block) for name, side in sides.items()},
        turns=turns,
        warm_up=warm_up,
    )
    return {
        (name, kind): clouds.Blocks(blocks=[turn[place] for turn in results[name]])
        for name in results
        for place, kind in enumerate(("network", "port"))
    }


def _figures(results: Results, how: str, note: str, goal: float | None) -> list[figures.Figure]:
    return [
        _figure(
            f"p50 of create {kind}, no backend{how}, {name} conductor: ours ÷ stock",
            results[name, kind],
            results["stock", kind],
            note,
            goal,
        )
        for name in ("embedded", "separate")
        for kind in ("network", "port")
    ]


def _figure(
    figure: str, ours: clouds.Blocks, stock: clouds.Blocks, note: str, goal: float | None
) -> figures.Figure:
    return figures.Figure(
        figure=figure,
        interval=pairs.median_ratio(ours.medians, stock.medians),
        goal=goal,
        n=len(ours.blocks),
        beside={
            "ours_p50_ms": round(ours.p50, 2),
            "stock_p50_ms": round(stock.p50, 2),
            "p50_ratio_of_all": round(ours.p50 / stock.p50, 3),
            "ours_p95_ms": round(ours.p95, 2),
            "stock_p95_ms": round(stock.p95, 2),
            "requests_a_side": len(ours.all),
        },
        note=note,
    )
