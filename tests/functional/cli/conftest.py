# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

import collections.abc
import contextlib
import uuid

import pytest

from lab import neutron
from lab.databases import pool
from lab.neutron import schema
from tests.functional.api import seed
from tests.functional.cli import openstack, world

#: Who calls without saying so.
_OPERATOR = neutron.Identity(user="operator", project="0" * 32, roles="admin,member,reader")


@pytest.fixture(scope="package")
def database(database_pool: pool.Pool) -> collections.abc.Iterator[pool.Database]:
    with schema.installed(database_pool, "mariadb") as lent:
        yield lent


@pytest.fixture(scope="package")
def seeded(database: pool.Database) -> collections.abc.Iterator[seed.Seed]:
    """A conductor that does what a test says."""
    journal = seed.Seed(database.url)
    yield journal
    journal.close()


@pytest.fixture(scope="package")
def forks() -> collections.abc.Iterator[openstack.Forks]:
    made = openstack.Forks()
    yield made
    made.close()


@pytest.fixture(scope="package")
def url(database: pool.Database) -> collections.abc.Iterator[str]:
    """Neutron with workflows; no conductor runs but the tests' own."""
    with contextlib.ExitStack() as stack:
        yield world.serve(stack, database, core_plugin="ml2_workflow", identity=_OPERATOR)


@pytest.fixture(scope="package")
def admin(url: str, forks: openstack.Forks) -> openstack.OpenStack:
    return openstack.OpenStack(url=url, forks=forks)


@pytest.fixture
def tenant(url: str, forks: openstack.Forks) -> openstack.OpenStack:
    """Somebody of a project that nobody has seen yet."""
    return openstack.OpenStack(url=url, forks=forks, project_id=uuid.uuid4().hex)
