# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A plan that reads a whole table is noticed; one that uses an index is not."""

import collections.abc

import pytest
import sqlalchemy as sa

from benchmarks import plans


@pytest.fixture
def engine() -> collections.abc.Iterator[sa.Engine]:
    made = sa.create_engine("sqlite://")
    with made.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE workflow_holds (k TEXT, gen INTEGER)")
        connection.exec_driver_sql("CREATE INDEX ix ON workflow_holds (k)")
    yield made
    made.dispose()


def scans(engine: sa.Engine, text: str, *parameters: object) -> list[str]:
    return plans.scans(engine, [(text, parameters)])


def test_a_scan_is_noticed(engine: sa.Engine) -> None:
    (found,) = scans(engine, "SELECT k FROM workflow_holds WHERE gen = ?", 1)

    assert found.startswith("SCAN workflow_holds")


def test_a_scan_under_another_name_is_noticed(engine: sa.Engine) -> None:
    assert scans(engine, "SELECT h.k FROM workflow_holds AS h WHERE h.gen = ?", 1)


def test_a_look_up_in_an_index_is_no_scan(engine: sa.Engine) -> None:
    assert scans(engine, "SELECT k FROM workflow_holds WHERE k = ?", "port/1") == []


def test_deletes_are_looked_at_and_not_done(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO workflow_holds VALUES ('port/1', 1)")

    assert scans(engine, "DELETE FROM workflow_holds WHERE gen = ?", 1)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM workflow_holds").scalar_one() == 1


def test_statements_are_recorded_as_the_driver_gets_them(engine: sa.Engine) -> None:
    with plans.recorded(engine) as statements, engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO workflow_holds VALUES (?, ?)", ("port/1", 1))

    assert statements == [("INSERT INTO workflow_holds VALUES (?, ?)", ("port/1", 1))]
