# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What the backend's work for one bound port costs: our apply, read-back included, and stock's."""

import contextlib
import dataclasses
import functools
import typing

from benchmarks import clouds, figures, ovn, pairs, probes
from lab import ovn as lab_ovn
from lab.databases import pool

GOAL = 1.0
HOST = "compute"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """All calls for one port together."""

    ms: float
    statements: int
    calls: int


class _Side:
    """One side's turn: create a port with a host, so that it is bound, and wait for OVN."""

    def __init__(
        self, cloud: clouds.Cloud, central: lab_ovn.OvnCentral, moments: probes.Moments
    ) -> None:
        self._cloud, self._central, self._moments = cloud, central, moments
        self._network_id = cloud.network()
        cloud.settle()

    def turn(self) -> Work:
        _, port = self._cloud.client.create(
            "ports",
            name="bench",
            network_id=self._network_id,
            project_id="bench",
            **{"binding:host_id": HOST},
        )
        if port["binding:vif_type"] != "ovs":
            raise clouds.Unsettled(f"the port is {port['binding:vif_type']}")
        self._cloud.settle()
        self._central.nbctl("--wait=sb", "sync", wait_s=60)
        self._moments.take()
        calls = self._moments.worked.pop(port["id"])
        return Work(
            ms=sum(ms for ms, _ in calls),
            statements=sum(number for _, number in calls),
            calls=len(calls),
        )


def run(scale: figures.Scale, databases: pool.Pool) -> list[figures.Figure]:
    """Measure in stock's API process and in our separate conductor."""
    with contextlib.ExitStack() as stack:
        moments = stack.enter_context(contextlib.closing(probes.Moments()))
        centrals = [stack.enter_context(lab_ovn.OvnCentral()) for _ in range(2)]
        for central in centrals:
            central.add_chassis("chassis-1", HOST)
        environment = {probes.SOCKET: str(moments.path)}
        stock = stack.enter_context(
            clouds.stock(
                databases,
                ovn.profile(centrals[0]),
                api=probes.ProbedApi,
                environment=environment,
            )
        )
        ours = stack.enter_context(
            clouds.ours(
                databases,
                ovn.profile(centrals[1]),
                conductor="separate",
                process=probes.ProbedConductor,
                environment=environment,
            )
        )
        sides = {
            "ours": _Side(ours, centrals[1], moments),
            "stock": _Side(stock, centrals[0], moments),
        }
        results = pairs.alternate(
            {name: functools.partial(side.turn) for name, side in sides.items()},
            turns=scale.turns_of(100),
            warm_up=scale.warm_up,
        )
    return [_figure(results["ours"], results["stock"])]


def _figure(ours: list[Work], stock: list[Work]) -> figures.Figure:
    beside: dict[str, typing.Any] = {}
    for name, works in (("ours", ours), ("stock", stock)):
        beside |= {
            f"{name}_p50_ms": round(pairs.quantile([one.ms for one in works], 0.5), 2),
            f"{name}_statements": pairs.quantile([float(one.statements) for one in works], 0.5),
            f"{name}_calls": pairs.quantile([float(one.calls) for one in works], 0.5),
        }
    return figures.Figure(
        figure="apply of create and bind of a port on OVN: ours ÷ stock's postcommits",
        interval=pairs.median_ratio([one.ms for one in ours], [one.ms for one in stock]),
        goal=GOAL,
        n=len(ours),
        beside=beside,
        note="ours: OvnDriver.apply in a separate conductor, read-back included; stock: "
        "create_port_postcommit and update_port_postcommit in the request",
    )
