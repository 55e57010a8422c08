# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Whether the backend's work has left the request: create port on OVN, ours against stock."""

import concurrent.futures
import contextlib
import dataclasses
import functools
import itertools
import statistics
import time
import typing

from benchmarks import client, clouds, figures, pairs
from lab import ovn as lab_ovn
from lab import waiting
from lab.databases import pool

GOAL = 1.0
CLIENTS = 8
PORTS = 200

#: Seconds until all ports of a rush must be in OVN.
ALL_IN_S = 300.0


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """One cloud with an OVN of its own."""

    cloud: clouds.Cloud
    central: lab_ovn.OvnCentral
    network_id: str

    def turn(self, block: int) -> list[float]:
        """Create ports one after the other; return when OVN has them all."""
        took_ms = self.cloud.create_ports(self.network_id, block)
        self.cloud.settle()
        self.central.nbctl("--wait=sb", "sync", wait_s=60)
        return took_ms

    def ports_in_ovn(self) -> int:
        """Return how many ports with an address the northbound has."""
        found = self.central.nbctl(
            *("--bare", "--columns=name", "find", "Logical_Switch_Port", 'type=""')
        )
        return len(found.split())


def profile(central: lab_ovn.OvnCentral) -> dict[str, typing.Any]:
    """Return what makes a Neutron use this OVN."""
    return {"mechanism_drivers": ("ovn",), "ovn": central}


@contextlib.contextmanager
def _sites(databases: pool.Pool) -> typing.Iterator[dict[str, Site]]:
    with contextlib.ExitStack() as stack:
        centrals = [stack.enter_context(lab_ovn.OvnCentral()) for _ in range(2)]
        stock = stack.enter_context(clouds.stock(databases, profile(centrals[0])))
        ours = stack.enter_context(
            clouds.ours(
                databases,
                profile(centrals[1]),
                conductor="separate",
                process=clouds.LowPriorityConductor,
            )
        )
        sites = {}
        for name, cloud, central in (("ours", ours, centrals[1]), ("stock", stock, centrals[0])):
            network_id = cloud.network()
            cloud.settle()
            sites[name] = Site(cloud=cloud, central=central, network_id=network_id)
        yield sites


def run(scale: figures.Scale, databases: pool.Pool) -> list[figures.Figure]:
    """Measure one client, one request at a time; then a rush of 200 ports from 8 clients."""
    with _sites(databases) as sites:
        results = pairs.alternate(
            {name: functools.partial(site.turn, scale.block) for name, site in sites.items()},
            turns=scale.turns_of(60),
            warm_up=scale.warm_up,
        )
        ports = 8 if scale.quick else PORTS
        rushes = pairs.alternate(
            {name: functools.partial(_rush, site, ports) for name, site in sites.items()},
            turns=1 if scale.quick else 3,
        )
    blocks = {name: clouds.Blocks(blocks=turns) for name, turns in results.items()}
    ours, stock = blocks["ours"], blocks["stock"]
    return [
        figures.Figure(
            figure="p50 of create port on OVN, one client: ours ÷ stock",
            interval=pairs.median_ratio(ours.medians, stock.medians),
            goal=GOAL,
            below=True,
            n=len(ours.blocks),
            beside={
                "ours_p50_ms": round(ours.p50, 2),
                "stock_p50_ms": round(stock.p50, 2),
                "p50_ratio_of_all": round(ours.p50 / stock.p50, 3),
            },
            note=f"separate conductor at nice 19; a turn is a block of {scale.block} requests, and "
            "OVN has its ports before the other side has its turn",
        ),
        *_rush_figures(ports, rushes),
    ]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Rush:
    """How many ports at once came out."""

    p50_ms: float
    p95_ms: float
    answered_s: float  #: until the last answer
    in_ovn_s: float  #: until the last port was in the northbound


def _rush(site: Site, ports: int) -> Rush:
    """Create ``ports`` ports from 8 clients; return when all of them are in OVN."""
    port = site.cloud.api.port
    before = site.ports_in_ovn()

    def one_client(number: int) -> list[float]:
        with contextlib.closing(client.Client(port)) as own:
            return [
                own.create("ports", name="rush", network_id=site.network_id, project_id="bench")[0]
                for _ in range(number)
            ]

    started = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as clients:
        each = clients.map(one_client, [ports // CLIENTS] * CLIENTS)
        took_ms = list(itertools.chain.from_iterable(each))
    answered_s = time.monotonic() - started
    waiting.wait_until(
        lambda: site.ports_in_ovn() - before >= ports, ALL_IN_S, "all ports in OVN", every_s=0.1
    )
    in_ovn_s = time.monotonic() - started
    site.cloud.settle()
    return Rush(
        p50_ms=statistics.median(took_ms),
        p95_ms=pairs.quantile(took_ms, 0.95),
        answered_s=answered_s,
        in_ovn_s=in_ovn_s,
    )


def _rush_figures(ports: int, rushes: dict[str, list[Rush]]) -> list[figures.Figure]:
    def beside(name: str) -> dict[str, float]:
        return {
            f"{side}_{name}": round(statistics.median(getattr(one, name) for one in runs), 2)
            for side, runs in rushes.items()
        }

    def ratio(name: str) -> pairs.Interval:
        values = {side: [getattr(one, name) for one in runs] for side, runs in rushes.items()}
        return pairs.median_ratio(values["ours"], values["stock"])

    number = len(rushes["ours"])
    return [
        figures.Figure(
            figure=f"p50 of create port on OVN, {CLIENTS} clients, {ports} ports: ours ÷ stock",
            interval=ratio("p50_ms"),
            n=number,
            beside=beside("p50_ms") | beside("p95_ms") | beside("answered_s"),
        ),
        figures.Figure(
            figure=f"time until all of {ports} ports are in OVN, {CLIENTS} clients: ours ÷ stock",
            interval=ratio("in_ovn_s"),
            n=number,
            beside=beside("in_ovn_s"),
        ),
    ]
