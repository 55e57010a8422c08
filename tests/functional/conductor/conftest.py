# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A database with Neutron's tables, and conductors on it."""

import collections.abc
import typing

import pytest

from lab.databases import pool
from networking_workflow.conductor import loop, settings
from networking_workflow.drivers import protocol
from networking_workflow.journal import journal
from networking_workflow.model import graph as graphs
from networking_workflow.model import retry
from networking_workflow.plan import keys
from tests.functional.conductor.cloud import Cloud, create_tables

#: Every interval short enough for a test; nothing but the test's own signals is waited for.
QUICK: dict[str, typing.Any] = {
    "workers": 2,
    "lease_s": 20.0,
    "poll_s": 0.1,
    "chores_s": 0.2,
    "probe_s": 0.05,
    "drain_s": 10.0,
    "retry": retry.RetryPolicy(attempts=3, first_delay_s=0.01, max_delay_s=60.0),
}

StartConductor = collections.abc.Callable[..., loop.Conductor]


@pytest.fixture
def cloud(
    request: pytest.FixtureRequest, database_pool: pool.Pool
) -> collections.abc.Iterator[Cloud]:
    """A cloud without anything in it; on SQLite, unless a test says on which databases."""
    kind = getattr(request, "param", "sqlite")
    cloud = Cloud(database_pool.empty(kind, "conductor", create_tables).url)
    yield cloud
    cloud.close()


@pytest.fixture
def start(cloud: Cloud) -> collections.abc.Iterator[StartConductor]:
    """Return a function that starts a conductor with drivers; all are stopped in the end."""
    started: list[loop.Conductor] = []

    def start(
        *drivers: protocol.Driver,
        on: journal.Journal | None = None,
        graph: graphs.DriverGraph | None = None,
        **config: typing.Any,
    ) -> loop.Conductor:
        conductor = loop.Conductor(
            on or journal.Journal(cloud.engine),
            drivers,
            settings.ConductorSettings(**{**QUICK, **config}),
            keys.keys_for,
            graph,
        )
        conductor.start()
        started.append(conductor)
        return conductor

    yield start
    for conductor in started:
        conductor.stop()
