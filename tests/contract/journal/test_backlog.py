# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A long queue: it is fair between projects, and a claim costs the same as with a short one."""

import collections.abc
import json
import re
import typing

import pytest
import sqlalchemy as sa

from lab.databases import pool
from networking_workflow.journal import record, schema, tables
from networking_workflow.model import workflows
from tests.contract.journal.world import World, change

READY, PARKED, ENDED = 10_000, 5_000, 5_000
PER_TRANSACTION = 1_000


@pytest.fixture(scope="module", params=list(pool.KINDS))
def backlog(
    request: pytest.FixtureRequest, database_pool: pool.Pool
) -> collections.abc.Iterator[World]:
    """20,000 workflows: READY ones of project A, ones parked behind one network, ended ones."""
    world = World(database_pool.empty(request.param, "backlog", schema.create_all))
    world.conductor()
    (network,) = world.record(change("network/parked", project_id="A"))
    assert world.claim() is not None
    fill(world, "ended", ENDED)
    update(world, state="SUCCESS", holding=False)
    with world.observer.begin() as connection:
        done = sa.select(tables.workflows.c.id).where(tables.workflows.c.state == "SUCCESS")
        connection.execute(sa.delete(tables.holds).where(tables.holds.c.workflow_id.in_(done)))
    fill(world, "parked", PARKED)
    update(world, state="WAITING", blocked_by=network)
    fill(world, "ready", READY)
    with world.observer.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for table in tables.metadata.tables:
            verb = "ANALYZE TABLE" if connection.dialect.name == "mysql" else "ANALYZE"
            connection.exec_driver_sql(f"{verb} {table}")
    world.sync()
    yield world
    world.close()


def fill(world: World, name: str, number: int) -> None:
    """Record ``number`` ports of network ``name``."""
    for start in range(0, number, PER_TRANSACTION):
        with world.observer.begin() as connection:
            record.record(
                connection,
                [
                    change(
                        f"port/{name}{start + index}",
                        shared=[f"network/{name}", "security_group/g"],
                        project_id="A",
                    )
                    for index in range(PER_TRANSACTION)
                ],
            )


def update(world: World, **values: typing.Any) -> None:
    """Change all READY rows."""
    with world.observer.begin() as connection:
        connection.execute(
            sa.update(tables.workflows).where(tables.workflows.c.state == "READY").values(values)
        )


def test_ten_thousand_of_one_project_do_not_keep_another_ones_waiting(backlog: World) -> None:
    claimers = 4
    after = dict.fromkeys(range(claimers), "")
    for claimer in after:
        found = backlog.journal.claim("c1", after_project=after[claimer])
        assert isinstance(found, workflows.Claim)
        after[claimer] = found.project_id
    (new,) = backlog.record(change("port/new", project_id="B"))
    claimed = []
    for _ in range(2):
        for claimer in after:
            found = backlog.journal.claim("c1", after_project=after[claimer])
            assert isinstance(found, workflows.Claim)
            after[claimer] = found.project_id
            claimed.append(found.id)
    assert new in claimed


def test_the_most_urgent_of_a_project_goes_first(backlog: World) -> None:
    (new,) = backlog.record(change("port/urgent", project_id="A", priority=-1))
    found = backlog.journal.claim("c1")
    assert isinstance(found, workflows.Claim)
    assert found.id == new


def test_has_work_is_one_statement(backlog: World) -> None:
    statements = []

    def note(_connection, _cursor, statement, *_rest) -> None:
        statements.append(statement)

    sa.event.listen(sa.engine.Engine, "before_cursor_execute", note)
    try:
        backlog.journal.has_work()
        statements.clear()  # The first one also made the connection.
        assert backlog.journal.has_work()
    finally:
        sa.event.remove(sa.engine.Engine, "before_cursor_execute", note)
    assert [one for one in statements if one != "BEGIN"] == statements[-1:]


def test_no_plan_scans_workflows_or_holds(backlog: World) -> None:
    seen: dict[str, typing.Any] = {}

    def note(_connection, _cursor, statement, parameters, *_rest) -> None:
        if re.search("workflow_(workflows|holds)", statement) and "INSERT" not in statement:
            seen.setdefault(statement, parameters)

    engines = [backlog.journal.engine, backlog.journal._polling]
    for engine in engines:
        sa.event.listen(engine, "before_cursor_execute", note)
    everything_a_conductor_does(backlog)
    for engine in engines:
        sa.event.remove(engine, "before_cursor_execute", note)
    assert len(seen) > 15
    scans = {statement: scan for statement, scan in plans(backlog, seen) if scan}
    assert scans == {}


def everything_a_conductor_does(world: World) -> None:
    """Claim, park, settle and do all chores once."""
    journal = world.journal
    assert journal.has_work()
    world.record(change("port/behind", shared=["network/parked"], project_id="C"))
    assert isinstance(journal.claim("c1", after_project="B"), workflows.Parked)
    for settle in (
        journal.succeed,
        journal.hand_back,
        lambda claim: journal.take_anew(claim, claim.keys),
    ):
        found = journal.claim("c1", after_project="B")
        assert isinstance(found, workflows.Claim)
        assert found.project_id == "A"
        settle(found)
    for chore in (
        journal.requeue_due,
        journal.wake_stranded,
        journal.release_held,
        journal.fail_mutual_holds,
        journal.drivers_waited_for,
        lambda: journal.wake_drivers(["ovn", "binding-ovn"]),
        lambda: journal.take_over_lost(by="c1"),
        lambda: journal.hand_back_unknown("nobody", ()),
    ):
        chore()


def plans(
    world: World, statements: dict[str, typing.Any]
) -> collections.abc.Iterator[tuple[str, str]]:
    """Return each statement with the part of its plan that reads a whole table; "" if none does."""
    look = {"sqlite": sqlite_scan, "postgresql": postgresql_scan}.get(world.kind, mariadb_scan)
    with world.observer.connect() as connection:
        for statement, parameters in statements.items():
            yield statement, look(connection, statement, parameters)
        connection.rollback()


def sqlite_scan(connection: sa.Connection, statement: str, parameters: typing.Any) -> str:
    """SQLite: SCAN of a table, with an index or without."""
    rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
    return "; ".join(row[3] for row in rows if re.match("SCAN workflow_(workflows|holds)", row[3]))


def mariadb_scan(connection: sa.Connection, statement: str, parameters: typing.Any) -> str:
    """MariaDB: access of type ALL or index."""
    rows = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).mappings()
    return "; ".join(
        f"{row['type']} of {row['table']} ({row['rows']} rows)"
        for row in rows
        if row["type"] in ("ALL", "index")
        and row["table"] in ("workflow_workflows", "workflow_holds")
        and int(row["rows"]) > 100
    )


def postgresql_scan(connection: sa.Connection, statement: str, parameters: typing.Any) -> str:
    """PostgreSQL: sequential scan."""
    (text,) = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).scalars()
    plan = text if isinstance(text, str) else json.dumps(text)
    found = re.findall(
        r'"Node Type": "Seq Scan"[^{}]*"Relation Name": "(workflow_workflows|workflow_holds)"', plan
    )
    return "; ".join(found)
