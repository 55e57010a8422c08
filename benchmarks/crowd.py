# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Whether keys that all ports of a network share hold the API up: 8 clients on one network."""

import collections.abc
import concurrent.futures
import contextlib
import dataclasses
import functools
import time
import typing

from benchmarks import client, clouds, figures, pairs
from lab import databases as lab_databases
from lab import neutron
from lab.databases import pool

GOAL = 0.90
CLIENTS = 8
PORTS = 80

#: A server of one node has two API processes too: the shapes are the same.
APIS = 2

#: Transactions of its own clients that a Galera node gave up for those of the other node.
_LOST = ("wsrep_local_bf_aborts", "wsrep_local_cert_failures")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """How one side answered all clients at once."""

    requests_per_s: float
    lost: int  #: transactions that Galera aborted in favour of another node's


class Side:
    """Two API processes on one database, one a node where it has two."""

    def __init__(
        self, apis: list[clouds.Cloud], nodes: list[typing.Any], network_id: str, ports: int
    ) -> None:
        self._apis, self._nodes, self._network_id, self._ports = apis, nodes, network_id, ports

    def turn(self) -> Round:
        """Create the ports from all clients; return when nothing is under way any more."""
        before, started = self._lost(), time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as clients:
            for done in [clients.submit(self._one_client, number) for number in range(CLIENTS)]:
                done.result()
        took_s = time.monotonic() - started
        made = self._ports // CLIENTS * CLIENTS
        result = Round(requests_per_s=made / took_s, lost=self._lost() - before)
        for api in self._apis:
            api.settle()
        return result

    def _one_client(self, number: int) -> None:
        port = self._apis[number % len(self._apis)].api.port
        with contextlib.closing(client.Client(port)) as own:
            for _ in range(self._ports // CLIENTS):
                own.create("ports", name="x", network_id=self._network_id, project_id="bench")

    def _lost(self) -> int:
        names = ", ".join(f"'{name}'" for name in _LOST)
        return sum(
            int(value)
            for node in self._nodes
            for _, value in node.query(f"SHOW GLOBAL STATUS WHERE Variable_name IN ({names})")
        )


def run(scale: figures.Scale, databases: pool.Pool) -> list[figures.Figure]:
    """Measure on MariaDB and on two Galera nodes, both written to."""
    return [_on(kind, scale, databases) for kind in ("mariadb", "galera")]


def _on(kind: str, scale: figures.Scale, databases: pool.Pool) -> figures.Figure:
    ports = CLIENTS if scale.quick else PORTS
    with (
        _side(databases, kind, ports, workflow=False) as stock,
        _side(databases, kind, ports, workflow=True) as ours,
    ):
        results = pairs.alternate(
            {"ours": functools.partial(ours.turn), "stock": functools.partial(stock.turn)},
            turns=scale.turns_of(40),
            warm_up=scale.warm_up,
        )
    rates = {name: [one.requests_per_s for one in rounds] for name, rounds in results.items()}
    beside: dict[str, float] = {
        f"{name}_requests_per_s": round(pairs.quantile(values, 0.5), 1)
        for name, values in rates.items()
    }
    if kind == "galera":
        beside |= {
            f"{name}_retries_per_request": round(
                sum(one.lost for one in rounds) / len(rounds) / ports, 3
            )
            for name, rounds in results.items()
        }
    return figures.Figure(
        figure=f"ports per s on one network, {CLIENTS} clients, 2 APIs, {kind}: ours ÷ stock",
        interval=pairs.median_ratio(rates["ours"], rates["stock"]),
        goal=GOAL,
        above=True,
        n=len(results["ours"]),
        beside=beside,
        note=f"no mechanism driver; separate conductor at nice 19; a turn is {ports} requests, and "
        "every workflow has ended before the other side's turn",
    )


@contextlib.contextmanager
def _side(
    databases: pool.Pool, kind: str, ports: int, *, workflow: bool
) -> collections.abc.Iterator[Side]:
    with contextlib.ExitStack() as stack:
        lent = stack.enter_context(clouds.database(databases, kind, workflow=workflow))
        urls = [lent.urls[number % len(lent.urls)] for number in range(APIS)]
        apis = [stack.enter_context(_api(url, f"api{n}", workflow)) for n, url in enumerate(urls)]
        if workflow:
            deployment = apis[0].api.deployment
            stack.enter_context(clouds.LowPriorityConductor(deployment))
        server = lent.server
        nodes = server.nodes if isinstance(server, lab_databases.Galera) else []
        network_id = apis[0].network()
        apis[0].settle()
        yield Side(apis, nodes, network_id, ports)


@contextlib.contextmanager
def _api(url: str, host: str, workflow: bool) -> collections.abc.Iterator[clouds.Cloud]:
    settings = neutron.Profile(
        database_url=url,
        core_plugin="ml2_workflow" if workflow else "ml2",
        workflow={"conductor": "separate"} if workflow else {},
    )
    cloud = clouds.OurCloud if workflow else clouds.Cloud
    with (
        clouds.engine(url) as engine,
        neutron.Deployment(settings) as deployment,
        neutron.NeutronApi(deployment, host=host) as api,
        contextlib.closing(cloud(api, engine)) as made,
    ):
        yield made
