# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""One Neutron with OVN's service plugins, shared by the tests of this folder."""

import collections.abc

import pytest

from lab import ovn as lab_ovn
from lab.databases import pool
from lab.neutron import schema
from tests.functional.services.world import Neutron, World


@pytest.fixture(scope="package")
def ovn() -> collections.abc.Iterator[lab_ovn.OvnCentral]:
    with lab_ovn.OvnCentral() as running:
        running.add_chassis("ch1", "cmp1")
        yield running


@pytest.fixture(scope="package")
def neutron(database_pool: pool.Pool, ovn: lab_ovn.OvnCentral) -> collections.abc.Iterator[Neutron]:
    """Neutron with capture, and no conductor: workflows stay as they were recorded.

    On MariaDB; what SQLite has of its own is seen in ``tests/functional/capture``.
    """
    with schema.installed(database_pool, "mariadb") as database:
        running = Neutron(database, ovn)
        yield running
        running.close()


@pytest.fixture(scope="package")
def routed(neutron: Neutron) -> World:
    """A router with a gateway and an interface, for tests that leave both as they are."""
    return World(neutron)


@pytest.fixture
def world(neutron: Neutron, routed: World, request: pytest.FixtureRequest) -> World:
    made = World(neutron)
    if request.node.get_closest_marker("behind_one_router"):
        made.stand_behind(routed)
    return made
