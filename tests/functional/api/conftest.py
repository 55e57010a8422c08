# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

import collections.abc

import pytest

from lab.databases import pool
from lab.neutron import schema
from tests.functional.api import clients, seed


@pytest.fixture(scope="package")
def neutron(
    request: pytest.FixtureRequest, database_pool: pool.Pool
) -> collections.abc.Iterator[clients.Neutron]:
    """Neutron with the core plugin that operators name, on a database as after installing."""
    with schema.installed(database_pool, request.param) as database:
        running = clients.Neutron(database)
        yield running
        running.close()


@pytest.fixture(scope="package")
def seeded(neutron: clients.Neutron) -> collections.abc.Iterator[seed.Seed]:
    """A conductor that does what a test says."""
    journal = seed.Seed(neutron.database.url)
    yield journal
    journal.close()
