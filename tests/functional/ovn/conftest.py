# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""One OVN and one Neutron for a module."""

import collections.abc

import pytest

from lab import ovn as lab_ovn
from lab.databases import pool
from tests.functional.capture import inprocess
from tests.functional.ovn import cloud, routed


@pytest.fixture(scope="module")
def ovn() -> collections.abc.Iterator[lab_ovn.OvnCentral]:
    with lab_ovn.OvnCentral() as running:
        running.add_chassis("ch1", "cmp1")
        yield running


@pytest.fixture(scope="module")
def neutron(
    database_pool: pool.Pool, ovn: lab_ovn.OvnCentral
) -> collections.abc.Iterator[cloud.Neutron]:
    running = cloud.Neutron(database_pool.empty("sqlite", "capture", inprocess.tables_of), ovn)
    yield running
    running.close()


@pytest.fixture(scope="module")
def conductor(neutron: cloud.Neutron) -> collections.abc.Iterator[cloud.Conductor]:
    running = cloud.Conductor(neutron)
    yield running
    running.close()


@pytest.fixture(scope="module")
def world(
    database_pool: pool.Pool, ovn: lab_ovn.OvnCentral
) -> collections.abc.Iterator[routed.World]:
    """A routed cloud of stock's, for one module."""
    with cloud.driven(routed.Neutron, cloud.Conductor, database_pool, ovn) as (running, conductor):
        yield routed.World(running, conductor)
