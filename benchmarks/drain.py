# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""How fast a backlog goes: 10,000 ports queued behind a dead fabric, which then comes back."""

import contextlib
import dataclasses
import functools
import os
import pathlib
import time
import typing

from benchmarks import clouds, fabric, figures, pairs, seeds
from lab import neutron, waiting
from lab.databases import pool

KINDS = ("sqlite", "mariadb", "galera")
PORTS = 10_000
QUICK_PORTS = 20
NETWORKS = 20

#: Rates of one run are taken over so many shares of it.
SHARES = 10

#: Seconds that 1,000 workflows may take at most.
_SLOWEST_S = 300.0


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Drained:
    """How one half of the backlog went."""

    rates: list[float]  #: workflows per second, share by share
    conductors_cpu: float  #: processors that the conductors kept busy, on average
    machine_cpu: float  #: processors that everything on the machine kept busy


def run(scale: figures.Scale, databases: pool.Pool) -> list[figures.Figure]:
    """Measure on each database; the first half by one conductor, then another one joins."""
    ports = QUICK_PORTS if scale.quick else PORTS
    return [figure for kind in KINDS for figure in _on(kind, ports, databases)]


def _on(kind: str, ports: int, databases: pool.Pool) -> list[figures.Figure]:
    with contextlib.ExitStack() as stack:
        lent = stack.enter_context(clouds.database(databases, kind, workflow=True))
        engine = stack.enter_context(clouds.engine(lent.url))
        backend = stack.enter_context(contextlib.closing(fabric.Fabric()))
        settings = neutron.Profile(
            database_url=lent.url,
            core_plugin="ml2_workflow",
            workflow={"conductor": "separate"},
            **fabric.profile(backend),
        )
        deployment = stack.enter_context(neutron.Deployment(settings))
        with (
            neutron.NeutronApi(deployment) as api,
            neutron.Conductor(deployment),
            contextlib.closing(clouds.OurCloud(api, engine)) as cloud,
        ):
            made = _first_ports(cloud)
            cloud.settle()
        backend.set_outage(True)
        with contextlib.closing(seeds.Seeds(lent.url)) as copies:
            for port in made:
                copies.copy(port, ports // len(made))
        cloud = clouds.OurCloud(api, engine)
        conductors = [stack.enter_context(neutron.Conductor(deployment))]
        backend.set_outage(False)
        alone = _drain(cloud, conductors, ports // 2)
        conductors.append(stack.enter_context(neutron.Conductor(deployment)))
        together = _drain(cloud, conductors, 0)
    return [_figure(kind, ports, 1, alone), _figure(kind, ports, 2, together)]


def _first_ports(cloud: clouds.Cloud) -> list[seeds.Json]:
    networks = [cloud.network() for _ in range(NETWORKS)]
    return [
        cloud.client.create("ports", name="bench", network_id=one, project_id="bench")[1]
        for one in networks
    ]


def _drain(
    cloud: clouds.OurCloud, conductors: typing.Sequence[neutron.Conductor], left: int
) -> Drained:
    """Return how it went until ``left`` workflows were left."""
    pids = [conductor.pid for conductor in conductors]
    total = cloud.unfinished()
    begun = started = time.monotonic()
    ours, all_of_it = _cpu_of(pids), _cpu_of_machine()
    rates, before = [], total
    for share in range(1, SHARES + 1):
        goal = total - (total - left) * share // SHARES
        waiting.wait_until(
            functools.partial(_down_to, cloud, goal),
            _SLOWEST_S,
            f"{goal} workflows to be left",
            every_s=0.25,
        )
        now, there = time.monotonic(), cloud.unfinished()
        rates.append((before - there) / (now - begun))
        begun, before = now, there
    took_s = time.monotonic() - started
    return Drained(
        rates=rates,
        conductors_cpu=(_cpu_of(pids) - ours) / took_s,
        machine_cpu=(_cpu_of_machine() - all_of_it) / took_s,
    )


def _down_to(cloud: clouds.OurCloud, goal: int) -> bool:
    return cloud.unfinished() <= goal


_TICKS = os.sysconf("SC_CLK_TCK")


def _cpu_of(pids: typing.Sequence[int]) -> float:
    """Return the processor seconds of processes so far (``man 5 proc``: utime and stime)."""
    total = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def _cpu_of_machine() -> float:
    """Return the processor seconds of everything so far, idle and waiting time left out."""
    first = pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:8]
    values = [int(value) for value in first]
    return (sum(values) - values[3] - values[4]) / _TICKS


def _figure(kind: str, ports: int, conductors: int, drained: Drained) -> figures.Figure:
    word = "conductor" if conductors == 1 else "conductors"
    return figures.Figure(
        figure=f"workflows per s, {ports:,} ports queued, {kind}, {conductors} {word}",
        interval=pairs.median_interval(drained.rates),
        n=len(drained.rates),
        unit="1/s",
        beside={
            "processors_busy_in_conductors": round(drained.conductors_cpu, 2),
            "processors_busy": round(drained.machine_cpu, 2),
            "processors": os.cpu_count(),
        },
        note=f"fabric at 0 ms; a rate is that of a {SHARES}th of one half of the backlog",
    )
