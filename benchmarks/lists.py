# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What ``sync_state`` costs a list: 1,000 ports in one answer, ours against stock."""

import functools

from benchmarks import clouds, figures, pairs
from lab.databases import pool

GOAL = 1.05
PORTS = 1000
QUICK_PORTS = 20


def run(scale: figures.Scale, databases: pool.Pool) -> list[figures.Figure]:
    """Measure with a conductor of its own, which has nothing to do meanwhile."""
    ports = QUICK_PORTS if scale.quick else PORTS
    with clouds.stock(databases) as stock, clouds.ours(databases, conductor="separate") as ours:
        sides = {"ours": ours, "stock": stock}
        for cloud in sides.values():
            cloud.fill(ports)
        results = pairs.alternate(
            {
                name: functools.partial(cloud.client.list, "ports", ports)
                for name, cloud in sides.items()
            },
            turns=scale.turns_of(150),
            warm_up=scale.warm_up,
        )
    return [
        figures.Figure(
            figure=f"p50 of a list of {ports:,} ports, with sync_state: ours ÷ stock",
            interval=pairs.median_ratio(results["ours"], results["stock"]),
            goal=GOAL,
            n=len(results["ours"]),
            beside={
                f"{name}_{quantile}_ms": round(pairs.quantile(results[name], share), 1)
                for name in sides
                for quantile, share in (("p50", 0.5), ("p95", 0.95))
            },
            note="no mechanism driver; nothing else is asked meanwhile",
        )
    ]
