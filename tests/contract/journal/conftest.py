# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Fixtures of the journal's contract."""

import collections.abc

import pytest

from lab.databases import pool
from tests.contract.journal.world import World


@pytest.fixture
def world(journal_database: pool.Database) -> collections.abc.Iterator[World]:
    """A cloud on each kind of database, nothing recorded yet, conductor c1 alive."""
    made = World(journal_database)
    made.conductor()
    yield made
    made.close()
