# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""One Neutron for the tests of this folder, on MariaDB; ``promises/test_binding.py`` has SQLite."""

import collections.abc

import pytest

from lab.databases import pool
from lab.neutron import schema
from tests.functional.binding.world import World


@pytest.fixture(scope="package")
def running(database_pool: pool.Pool) -> collections.abc.Iterator[World]:
    with schema.installed(database_pool, "mariadb") as database:
        world = World(database)
        yield world
        world.close()


@pytest.fixture
def world(running: World) -> collections.abc.Iterator[World]:
    """Switches that refuse; conductors end with the test."""
    running.reset()
    yield running
    running.stop()
