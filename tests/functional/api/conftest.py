# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

import collections.abc

import pytest

from lab.databases import pool
from tests.functional.api import clients, seed
from tests.functional.capture import inprocess


@pytest.fixture(scope="package")
def neutron(
    request: pytest.FixtureRequest, database_pool: pool.Pool
) -> collections.abc.Iterator[clients.Neutron]:
    """Neutron with the core plugin that operators name, on a database that has had no rows yet."""
    database = database_pool.create(request.param, "api")
    with pool.engine(database.url) as made:  # emptied ones lack the default groups' rules
        inprocess.tables_of(made)
    running = clients.Neutron(database)
    yield running
    running.close()


@pytest.fixture(scope="package")
def seeded(neutron: clients.Neutron) -> collections.abc.Iterator[seed.Seed]:
    """A conductor that does what a test says."""
    journal = seed.Seed(neutron.database.url)
    yield journal
    journal.close()
