# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Whether a slow backend slows requests down: the fabric at 500 ms against the fabric at 0 ms."""

import contextlib
import functools
import http.client
import json
import sys
import typing

from benchmarks import clouds, figures, pairs
from lab import processes
from lab.databases import pool
from lab.neutron import running

GOAL = 1.05
LATENCY_S = 0.5


class Fabric:
    """A fabric as a process of its own, so that it takes no time from the client's."""

    def __init__(self) -> None:
        self.port = processes.free_port()
        self._folder = processes.Folder("fabric")
        self._process = processes.Process(
            "fabric",
            [
                *(sys.executable, "-m", "networking_workflow.drivers.fabric.server"),
                *("--listen", f"127.0.0.1:{self.port}"),
            ],
            folder=self._folder,
            log=self._folder.path / "fabric.log",
            environment={"PYTHONPATH": str(running.REPOSITORY)},
        )
        self._process.wait_ready(self._answers, 30)

    @property
    def url(self) -> str:
        """Return its base URL."""
        return f"http://127.0.0.1:{self.port}"

    def set_latency(self, latency_s: float) -> None:
        """Make every effect from now on take so many seconds.

        :raises LabError: if the fabric refuses.
        """
        self._behave(latency_s=latency_s)

    def set_slow(self, target: str, latency_s: float) -> None:
        """Make every effect on a target from now on take so many seconds.

        :raises LabError: if the fabric refuses.
        """
        self._behave(slow={target: latency_s})

    def set_outage(self, outage: bool) -> None:
        """Close every connection unanswered from now on, or no more.

        :raises LabError: if the fabric refuses.
        """
        self._behave(outage=outage)

    def close(self) -> None:
        """Stop it."""
        self._process.kill()
        self._folder.remove()

    def _behave(self, **behaviour: typing.Any) -> None:
        status = self._send("PATCH", "/v1/behaviour", behaviour)
        if status != 200:
            raise processes.LabError(f"The fabric answered {status} to {behaviour}")

    def _answers(self) -> bool:
        try:
            return self._send("GET", "/v1/health", None) == 200
        except OSError:
            return False

    def _send(self, method: str, path: str, body: typing.Any) -> int:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port)) as connection:
            connection.request(method, path, None if body is None else json.dumps(body))
            return connection.getresponse().status


def profile(fabric: Fabric) -> dict[str, typing.Any]:
    """Return what makes a Neutron use this fabric."""
    return {"mechanism_drivers": ("fabric",), "fabric_url": fabric.url}


def _turn(
    cloud: clouds.Cloud, network_id: str, fabric: Fabric, latency_s: float, block: int
) -> list[float]:
    fabric.set_latency(latency_s)
    took_ms = cloud.create_ports(network_id, block)
    cloud.settle()
    return took_ms


def run(scale: figures.Scale, databases: pool.Pool) -> list[figures.Figure]:
    """Measure with the embedded conductor; stock beside it."""
    with contextlib.ExitStack() as stack:
        fabrics = [stack.enter_context(contextlib.closing(Fabric())) for _ in range(2)]
        stock = stack.enter_context(clouds.stock(databases, profile(fabrics[0])))
        ours = stack.enter_context(clouds.ours(databases, profile(fabrics[1])))
        sides: dict[str, typing.Callable[[], list[float]]] = {}
        for name, cloud, fabric in (("stock", stock, fabrics[0]), ("ours", ours, fabrics[1])):
            network_id = cloud.network()
            cloud.settle()
            for latency_s in (0.0, LATENCY_S):
                sides[f"{name} at {latency_s * 1000:.0f} ms"] = functools.partial(
                    _turn, cloud, network_id, fabric, latency_s, scale.block
                )
        results = pairs.alternate(sides, turns=scale.turns_of(40), warm_up=scale.warm_up)
        ours.require("port", 2 * scale.block * (scale.turns_of(40) + scale.warm_up))
    blocks = {name: clouds.Blocks(blocks=turns) for name, turns in results.items()}
    fast, slow = blocks["ours at 0 ms"], blocks["ours at 500 ms"]
    return [
        figures.Figure(
            figure="p50 of create port, ours: fabric at 500 ms ÷ fabric at 0 ms",
            interval=pairs.median_ratio(slow.medians, fast.medians),
            goal=GOAL,
            n=len(fast.blocks),
            beside={f"{name}, p50 in ms": round(block.p50, 2) for name, block in blocks.items()},
            note=f"embedded conductor; a turn is a block of {scale.block} requests",
        )
    ]
