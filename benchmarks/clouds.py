# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The two sides: stock Neutron, and Neutron with the journal, each as processes of its own."""

import collections.abc
import contextlib
import dataclasses
import itertools
import pathlib
import statistics
import typing

import sqlalchemy as sa

from benchmarks import client, pairs, probes, seeds
from lab import neutron, waiting
from lab.databases import pool
from lab.neutron import schema
from networking_workflow.journal import tables
from networking_workflow.model import states

#: Seconds until everything that a turn left behind must be done.
SETTLE_S = 120.0

_ADDRESSES = itertools.count(1)


class Unsettled(Exception):
    """A workflow ended otherwise than well: what was measured is not what was meant."""


class Cloud:
    """One Neutron API to send requests to."""

    def __init__(self, api: neutron.NeutronApi, engine: sa.Engine) -> None:
        self.api, self.engine = api, engine
        self.client = client.Client(api.port)

    def network(self) -> str:
        """Make a network with an IPv4 subnet for thousands of ports; return its id."""
        _, network = self.client.create("networks", name="bench", project_id="bench")
        self.client.create(
            "subnets",
            network_id=network["id"],
            ip_version=4,
            cidr=f"10.{next(_ADDRESSES) % 250}.0.0/16",
            project_id="bench",
        )
        return str(network["id"])

    def create_networks(self, number: int) -> list[float]:
        """Create networks one after the other; return the milliseconds of each request."""
        return [
            self.client.create("networks", name="bench", project_id="bench")[0]
            for _ in range(number)
        ]

    def create_ports(self, network_id: str, number: int, **values: str) -> list[float]:
        """Create ports one after the other; return the milliseconds of each request."""
        port = {"name": "bench", "network_id": network_id, "project_id": "bench", **values}
        return [self.client.create("ports", **port)[0] for _ in range(number)]

    def create_ports_at_once(self, network_id: str, number: int) -> float:
        """Create ports in one request; return its milliseconds."""
        port = {"name": "bench", "network_id": network_id, "project_id": "bench"}
        return self.client.create_all("ports", [port] * number)

    def fill(self, number: int) -> None:
        """Make so many ports on a network, all but the first as copies; return when settled."""
        _, port = self.client.create("ports", network_id=self.network(), project_id="bench")
        url = self.engine.url.render_as_string(hide_password=False)
        with contextlib.closing(seeds.Seeds(url)) as copies:
            copies.copy(port, number - 1)
        self.settle()

    def settle(self) -> None:
        """Return when nothing of this side is under way that could disturb the other one."""

    def close(self) -> None:
        """Close the client's connection."""
        self.client.close()


class OurCloud(Cloud):
    """A Neutron API whose changes are workflows."""

    def settle(self) -> None:
        """Return when every workflow has ended.

        :raises Unsettled: if one ended otherwise than in SUCCESS or SUPERSEDED.
        """
        waiting.wait_until(self._settled, SETTLE_S, "every workflow to end", every_s=0.03)

    def counts(self) -> dict[tuple[str, str, str], int]:
        """Return how many workflows there are by (resource type, operation, state)."""
        w = tables.workflows.c
        columns = (w.resource_type, w.operation, w.state)
        statement = sa.select(*columns, sa.func.count()).group_by(*columns)
        with self.engine.connect() as connection:
            return {
                (row[0], row[1], row[2]): row[3] for row in connection.execute(statement).fetchall()
            }

    def unfinished(self) -> int:
        """Return how many workflows are on their way.

        :raises Unsettled: if one of the others did not end well.
        """
        counts: dict[str, int] = {}
        for (_, _, state), number in self.counts().items():
            counts[state] = counts.get(state, 0) + number
        good = {states.WorkflowState.SUCCESS, states.WorkflowState.SUPERSEDED}
        bad = {state: counts[state] for state in counts if state in states.TERMINAL - good}
        if bad:
            raise Unsettled(f"{self.api.host}: {bad}; its log is {self.api.log_path}")
        return sum(number for state, number in counts.items() if state not in good)

    def require(self, resource_type: str, number: int) -> None:
        """Return if exactly ``number`` creates of a type were workflows and have ended well.

        :raises Unsettled: otherwise.
        """
        found = self.counts().get((resource_type, "create", "SUCCESS"), 0)
        if found != number:
            raise Unsettled(f"{number} creates of {resource_type}, {found} workflows")

    def _settled(self) -> bool:
        # Cheap while something is under way: the conductor needs the processor more than we do.
        with self.engine.connect() as connection:
            if connection.execute(_HOLDING).first() is not None:
                return False
        return self.unfinished() == 0


_HOLDING: sa.Select[tuple[int]] = (
    sa.select(sa.literal_column("1")).where(tables.workflows.c.holding).limit(1)
)


@contextlib.contextmanager
def database(databases: pool.Pool, kind: str, *, workflow: bool) -> typing.Iterator[pool.Database]:
    """Lend a database with Neutron's schema, and ours where ``workflow`` says so."""
    with databases.blank(kind) as blank:
        schema.create(blank, workflow=workflow)
        yield blank


@contextlib.contextmanager
def stock(
    databases: pool.Pool,
    profile: collections.abc.Mapping[str, typing.Any] | None = None,
    *,
    api: type[neutron.NeutronApi] = neutron.NeutronApi,
    environment: collections.abc.Mapping[str, str] | None = None,
) -> typing.Iterator[Cloud]:
    """Run stock ML2 on MariaDB."""
    with database(databases, "mariadb", workflow=False) as lent, engine(lent.url) as own:
        settings = neutron.Profile(database_url=lent.url, core_plugin="ml2", **dict(profile or {}))
        with (
            neutron.Deployment(settings) as deployment,
            api(deployment, environment=environment) as served,
            contextlib.closing(Cloud(served, own)) as cloud,
        ):
            yield cloud


@contextlib.contextmanager
def ours(
    databases: pool.Pool,
    profile: collections.abc.Mapping[str, typing.Any] | None = None,
    *,
    conductor: str = "embedded",
    workflow: collections.abc.Mapping[str, typing.Any] | None = None,
    api: type[neutron.NeutronApi] = neutron.NeutronApi,
    process: type[neutron.Conductor] = neutron.Conductor,
    environment: collections.abc.Mapping[str, str] | None = None,
) -> typing.Iterator[OurCloud]:
    """Run ML2 with the journal on MariaDB, its conductor "embedded" or "separate"."""
    with contextlib.ExitStack() as stack:
        lent = stack.enter_context(database(databases, "mariadb", workflow=True))
        own = stack.enter_context(engine(lent.url))
        settings = neutron.Profile(
            database_url=lent.url,
            core_plugin="ml2_workflow",
            workflow={"conductor": conductor, **(workflow or {})},
            **dict(profile or {}),
        )
        deployment = stack.enter_context(neutron.Deployment(settings))
        served = stack.enter_context(api(deployment, environment=environment))
        if conductor == "separate":
            stack.enter_context(process(deployment, environment=environment))
        yield stack.enter_context(contextlib.closing(OurCloud(served, own)))


def probed(
    databases: pool.Pool,
    profile: collections.abc.Mapping[str, typing.Any],
    conductor: str,
    moments: probes.Moments,
) -> contextlib.AbstractContextManager[OurCloud]:
    """Run :func:`ours` whose processes send their moments."""
    return ours(
        databases,
        profile,
        conductor=conductor,
        api=probes.ProbedApi,
        process=probes.ProbedConductor,
        environment={probes.SOCKET: str(moments.path)},
    )


LOWEST = 19


class LowPriorityConductor(neutron.Conductor):
    """A conductor that gets the processor when nobody else wants it (nice 19)."""

    def launch(self) -> None:
        """Start it without waiting; its session goes down as a whole.

        Linux may share the processor out between sessions first (``sched_autogroup_enabled``), and
        a process that leads one of its own is nice to nobody then.
        """
        super().launch()
        session = pathlib.Path(f"/proc/{self.pid}/autogroup")
        if session.exists():
            session.write_text(str(LOWEST))

    def _argv(self) -> list[str]:
        return ["/usr/bin/nice", "-n", str(LOWEST), *super()._argv()]


@contextlib.contextmanager
def engine(url: str) -> typing.Iterator[sa.Engine]:
    """Lend an engine with one connection, which sees what others commit."""
    made = sa.create_engine(url, pool_size=1, isolation_level="AUTOCOMMIT")
    try:
        yield made
    finally:
        made.dispose()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Blocks:
    """The requests of one side, block by block; in milliseconds."""

    blocks: list[list[float]]

    @property
    def medians(self) -> list[float]:
        """Return the median of each block: what a pair compares."""
        return [statistics.median(block) for block in self.blocks]

    @property
    def p50(self) -> float:
        """Return the median of all requests."""
        return statistics.median(self.all)

    @property
    def p95(self) -> float:
        """Return the 95th percentile of all requests."""
        return pairs.quantile(self.all, 0.95)

    @property
    def all(self) -> list[float]:
        """Return every request."""
        return [request for block in self.blocks for request in block]
