# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Servers and databases for tests. A server is started when the first test asks for it."""

import collections.abc
import gc
import pathlib
import tempfile

import pytest

from lab.databases import pool
from lab.neutron import forks, running
from tests import repeating


def pytest_configure() -> None:
    """Let Neutron's processes be forked; see ``lab.neutron.forks``."""
    running.FORKS = forks.Forks()
    gc.disable()  # while tests are collected: an import makes much and frees nothing


def pytest_unconfigure() -> None:
    if running.FORKS is not None:
        running.FORKS.close()


def pytest_collection_finish() -> None:
    """Spare every garbage collection the million objects that importing Neutron made."""
    gc.freeze()
    gc.enable()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give tests of a whole Neutron in this process MariaDB, and SQLite to those marked so."""
    if "neutron" not in metafunc.fixturenames or hasattr(metafunc.module, "neutron"):
        return
    folder = pathlib.Path(metafunc.module.__file__ or "").parent.name
    if folder in ON_BOTH:
        marks = {mark.name for mark in metafunc.definition.iter_markers()}
        again = repeating.AGAIN if "again_on_sqlite" in marks else []
        kinds = ["mariadb", *(["sqlite"] if "on_sqlite" in marks else again)]
        metafunc.parametrize("neutron", kinds, indirect=True, scope="package")


#: Folders with a Neutron a database, shared by their tests.
ON_BOTH = ("capture", "api")


@pytest.fixture
def short_path() -> collections.abc.Iterator[pathlib.Path]:
    """A folder for unix sockets, whose paths may have 107 bytes: shorter than ``tmp_path``."""
    with tempfile.TemporaryDirectory() as path:
        yield pathlib.Path(path)


@pytest.fixture(scope="session")
def database_pool() -> collections.abc.Iterator[pool.Pool]:
    """Servers of all kinds, for tests that choose one themselves."""
    lender = pool.Pool(pool.QUICK)
    yield lender
    lender.close()


@pytest.fixture(params=list(pool.KINDS))
def blank_database(
    request: pytest.FixtureRequest, database_pool: pool.Pool
) -> collections.abc.Iterator[pool.Database]:
    """On every kind of server: a database without tables; for tests that make or alter tables."""
    with database_pool.blank(request.param) as database:
        yield database


@pytest.fixture(params=list(pool.KINDS))
def journal_database(request: pytest.FixtureRequest, database_pool: pool.Pool) -> pool.Database:
    """On every kind of server: a database with the journal's tables, all of them empty."""
    from networking_workflow.journal import schema

    return database_pool.empty(request.param, "journal", schema.create_all)
