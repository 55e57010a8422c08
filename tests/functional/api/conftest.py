# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

import collections.abc

import pytest

from lab.databases import pool
from tests.functional.api import clients, seed
from tests.functional.capture import inprocess


@pytest.fixture(scope="module")
def neutron(database_pool: pool.Pool) -> collections.abc.Iterator[clients.Neutron]:
    running = clients.Neutron(database_pool.empty("sqlite", "capture", inprocess.tables_of))
    yield running
    running.close()


@pytest.fixture(scope="module")
def seeded(neutron: clients.Neutron) -> collections.abc.Iterator[seed.Seed]:
    journal = seed.Seed(neutron.database.url)
    yield journal
    journal.close()
