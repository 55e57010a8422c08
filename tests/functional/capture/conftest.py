# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""One Neutron a database, shared by the tests of this folder."""

import collections.abc

import pytest

from lab.databases import pool
from lab.neutron import schema
from tests.functional.capture import inprocess
from tests.functional.capture.world import World


@pytest.fixture(scope="package")
def neutron(
    request: pytest.FixtureRequest, database_pool: pool.Pool
) -> collections.abc.Iterator[inprocess.Neutron]:
    """Neutron with capture, and no conductor: workflows stay as they were recorded."""
    with schema.installed(database_pool, request.param) as database:
        running = inprocess.Neutron(database)
        yield running
        running.close()


@pytest.fixture
def world(neutron: inprocess.Neutron) -> World:
    return World(neutron)
