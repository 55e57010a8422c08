# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""How soon after its workflow's end a call with ``Prefer: wait`` answers."""

import contextlib
import functools
import random
import typing

from benchmarks import clouds, fabric, figures, pairs, probes
from lab import waiting
from lab.databases import pool

GOAL = 2.0
SHARE = 0.95

#: Seconds that the backend takes, from the least to the most: no wait ends at the same point
#: between two looks.
_LATENCY_S = (0.02, 0.12)

_WAIT = "wait=30"


class Side:
    """Waits and plain reads of one API, on an idle system."""

    def __init__(
        self, cloud: clouds.OurCloud, backend: fabric.Fabric, moments: probes.Moments
    ) -> None:
        self._cloud, self._backend, self._moments = cloud, backend, moments
        self._network_id = cloud.network()
        self._latency = random.Random(1)
        self._port_id = ""
        cloud.settle()
        moments.take()

    def wait(self) -> float:
        """Create one port and wait; return the milliseconds from its workflow's end to the answer.

        :raises DeadlinePassed: if that moment does not arrive.
        """
        self._backend.set_latency(self._latency.uniform(*_LATENCY_S))
        body = {"port": {"network_id": self._network_id, "project_id": "bench"}}
        answer = self._cloud.client.post("ports", body, Prefer=_WAIT)
        self._port_id = answer.body["port"]["id"]
        workflow_id = answer.headers["OpenStack-Workflow-Id"]
        self._cloud.settle()
        waiting.wait_until(
            lambda: self._ended(workflow_id), clouds.SETTLE_S, "its end to be told", every_s=0.01
        )
        return (answer.at - self._moments.ended[workflow_id]) * 1000

    def _ended(self, workflow_id: str) -> bool:
        self._moments.take()
        return workflow_id in self._moments.ended

    def read(self) -> float:
        """GET that port; return the milliseconds."""
        return self._cloud.client.get(f"ports/{self._port_id}").took_ms


def run(scale: figures.Scale, databases: pool.Pool) -> list[figures.Figure]:
    """Measure with the embedded conductor and with a separate one."""
    conductors = ("separate",) if scale.quick else ("embedded", "separate")
    with contextlib.ExitStack() as stack:
        moments = stack.enter_context(contextlib.closing(probes.Moments()))
        backend = stack.enter_context(contextlib.closing(fabric.Fabric()))
        sides: dict[str, typing.Callable[[], float]] = {}
        for conductor in conductors:
            cloud = stack.enter_context(
                clouds.probed(databases, fabric.profile(backend), conductor, moments)
            )
            side = Side(cloud, backend, moments)
            sides[conductor] = functools.partial(side.wait)
            sides[f"{conductor} GET"] = functools.partial(side.read)
        results = pairs.alternate(sides, turns=scale.turns_of(200), warm_up=scale.warm_up)
    return [
        _figure(conductor, results[conductor], results[f"{conductor} GET"])
        for conductor in conductors
    ]


def _figure(conductor: str, waits: list[float], reads: list[float]) -> figures.Figure:
    least, most = (round(latency_s * 1000) for latency_s in _LATENCY_S)
    return figures.Figure(
        figure=f"Prefer: wait, workflow's end to answer, {conductor} conductor: p95 ÷ p95 of GET",
        interval=pairs.quantile_ratio(waits, reads, SHARE),
        goal=GOAL,
        n=len(waits),
        beside={
            f"{name}_{quantile}_ms": round(pairs.quantile(values, share), 2)
            for name, values in (("wait", waits), ("get", reads))
            for quantile, share in (("p50", 0.5), ("p95", SHARE))
        },
        note=f"create port through HTTP, fabric at {least} to {most} ms; from the return of the "
        "COMMIT that ended it to the answer's last byte; GET of that port alone on the system",
    )
