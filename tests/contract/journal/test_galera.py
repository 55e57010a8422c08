# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What only certification can refuse: commits at one node while the other's are not applied there.

Row locks are local to a node. In a quiet cluster the applier still ends a local transaction whose
lock is in its way, which hides what is shown here; so the first node's applier is kept busy with
a large write set of the second one, and each test checks that the window was really open.
"""

import collections.abc
import concurrent.futures
import contextlib
import uuid

import pytest
import sqlalchemy as sa

from lab.databases import pool
from networking_workflow.journal import (
    claims,
    engine,
    galera,
    record,
    retries,
    schema,
    tables,
    takes,
)
from networking_workflow.model import workflows
from networking_workflow.model.keys import Mode
from tests.contract.journal import interleave
from tests.contract.journal.test_guards import guarded, read_blocker, run_to_the_end
from tests.contract.journal.world import World, change, key
from tests.waiting import wait_until

ROWS, BATCH = 130_000, 10_000


@pytest.fixture(scope="module")
def ballast(database_pool: pool.Pool) -> str:
    """Return the name of a large table, in a database of its own that no test empties."""
    database = database_pool.create("galera", "ballast")
    with pool.engine(database.urls[1]) as engine, engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE ballast (id INT PRIMARY KEY AUTO_INCREMENT, x INT, padding CHAR(100))"
        )
        for _ in range(ROWS // BATCH):
            connection.exec_driver_sql(
                "INSERT INTO ballast (x, padding) VALUES (%s, %s)", [(1, "x" * 100)] * BATCH
            )
    return f"{database.name}.ballast"


@pytest.fixture
def cluster(database_pool: pool.Pool, ballast: str) -> collections.abc.Iterator[World]:
    """A cloud on two nodes, with one applier each."""
    made = World(database_pool.empty("galera", "journal", schema.create_all))
    made.ballast = ballast
    for node in range(2):
        with made.api(node).begin() as connection:
            connection.exec_driver_sql("SET GLOBAL wsrep_slave_threads = 1")
    made.conductor()
    made.conductor("c2")
    yield made
    made.close()


@contextlib.contextmanager
def busy_first_node(world: World) -> collections.abc.Iterator[None]:
    """Keep the first node's applier busy: what the second commits in the block comes late there."""
    with world.api(1).begin() as connection:
        connection.exec_driver_sql(f"UPDATE {world.ballast} SET x = x + 1")
    yield
    world.sync()


def seen_at_first_node(world: World, statement: sa.Select[tuple[int]]) -> int | None:
    """Return what the first node shows now, without waiting for the second one's commits."""
    with world.api(0).connect() as connection:
        return connection.execute(statement).scalar()


def gen_of(name: str) -> sa.Select[tuple[int]]:
    """Read a key's gen."""
    return sa.select(tables.keys.c.gen).where(tables.keys.c.k == key(name))


@pytest.mark.parametrize(
    ("first", "second", "refused"),
    [
        ("exclusive", "shared", True),
        ("shared", "exclusive", True),
        ("exclusive", "exclusive", True),
        ("shared", "shared", False),
    ],
)
def test_conflicting_takes_at_two_nodes_are_refused(
    cluster: World, first: str, second: str, refused: bool
) -> None:
    assert take_at_both(cluster, first, second) is refused


def test_without_gates_a_shared_take_with_an_old_gen_commits(
    cluster: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(galera, "is_galera", lambda _: False)
    assert not take_at_both(cluster, "exclusive", "shared")
    holds = [(mode, gen) for k, mode, gen in cluster.holds() if k == key("network/n")]
    # The shared one committed last and stands before the exclusive one.
    assert holds == [(Mode.SHARED, 1), (Mode.EXCLUSIVE, 2)]


def test_without_gates_an_exclusive_take_commits_beside_a_shared_one(
    cluster: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(galera, "is_galera", lambda _: False)
    assert not take_at_both(cluster, "shared", "exclusive")


def test_a_conductor_reads_at_one_node_what_was_committed_at_another(cluster: World) -> None:
    conductors = engine.make_engine(cluster.database.urls[0], causal_reads=True)
    row = tables.workflows.c
    new = change("port/p")
    seen = sa.select(sa.func.count()).where(row.id == new.id)
    try:
        for reading in (conductors, engine.polling(conductors)):
            with reading.connect() as connection:
                set_to = connection.exec_driver_sql("SELECT @@SESSION.wsrep_sync_wait").scalar()
                assert set_to == 1
        with concurrent.futures.ThreadPoolExecutor(1) as thread, cluster.api(0).connect() as pause:
            pause.exec_driver_sql("FLUSH TABLES WITH READ LOCK")  # nothing is applied at this node
            with cluster.api(1).begin() as connection:
                record.record(connection, [new])
            assert seen_at_first_node(cluster, seen) == 0
            asking = thread.submit(ask, conductors, seen)
            wait_until(lambda: asks(pause, new.id), 30, "the conductor to ask")
            pause.exec_driver_sql("UNLOCK TABLES")
            assert asking.result(30) == 1
    finally:
        conductors.dispose()


def ask(engine_: sa.Engine, statement: sa.Select[tuple[int]]) -> int | None:
    with engine_.connect() as connection:
        return connection.execute(statement).scalar()


def asks(connection: sa.Connection, name: str) -> bool:
    """Return whether a statement that names it has come to this node, and is not answered yet."""
    rows = connection.exec_driver_sql("SHOW FULL PROCESSLIST").mappings().all()
    return any(name in (row["Info"] or "") for row in rows)


def take_at_both(world: World, first: str, second: str) -> bool:
    """Commit ``first`` at node 2 and then ``second`` at node 1, which has not applied it yet.

    Returns whether the second one was refused.
    """
    changes = {
        "exclusive": lambda: change("network/n"),
        "shared": lambda: change(f"port/{uuid.uuid4()}", shared=["network/n"]),
    }
    with world.api(0).begin() as connection:  # A key with its gate, as it is in a running cloud.
        setup = change("network/n")
        takes.take(connection, [takes.Want(setup.id, setup.keys)])
    world.sync()
    with world.api(0).connect() as late:
        record.record(late, [changes[second]()])
        with busy_first_node(world):
            early = changes[first]()
            with world.api(1).begin() as connection:
                record.record(connection, [early])
            row = tables.workflows.c
            seen = sa.select(sa.func.count()).where(row.id == early.id)
            assert not seen_at_first_node(world, seen), "the window was not open"
            try:
                late.commit()
                refused = False
            except sa.exc.OperationalError as error:
                assert retries.is_conflict(error)
                refused = True
    return refused


@guarded
def test_park_writes_its_blockers_row_on_a_cluster(
    cluster: World, monkeypatch: pytest.MonkeyPatch, guard: bool
) -> None:
    world = cluster
    world.record(change("network/n"))
    blocker = world.claim("c2")
    assert blocker is not None
    world.record(change("port/p", shared=["network/n"]))
    if not guard:
        monkeypatch.setattr(claims, "write_blocker", read_blocker)
    with (
        interleave.stop_before_commit(world.journal.engine) as parked,
        interleave.in_thread(lambda: world.journal.claim("c1")) as claiming,
    ):
        parked.wait_until_reached()
        with busy_first_node(world):
            world.other.succeed(blocker)
            running = sa.select(sa.func.count()).where(
                tables.workflows.c.id == blocker.id, tables.workflows.c.state == "RUNNING"
            )
            assert seen_at_first_node(world, running), "the window was not open"
            parked.go_on()
        found = claiming.result()
    if isinstance(found, workflows.Claim):
        world.journal.succeed(found)
    assert (run_to_the_end(world) == {"SUCCESS": 2}) is guard


def test_touches_are_empty_after_every_commit_and_gates_follow_their_keys(cluster: World) -> None:
    for _ in range(3):
        cluster.record(change("network/n"))
        cluster.record(change("port/p", shared=["network/n", "subnet/s"]))
    assert cluster.query(sa.select(tables.touches)) == []
    gates = cluster.query(sa.select(tables.gates))
    assert sorted(gates) == sorted(cluster.query(sa.select(tables.keys)))


def test_a_key_older_than_the_cluster_gets_its_gate_from_a_shared_taker(cluster: World) -> None:
    with cluster.api(0).begin() as connection:
        connection.execute(sa.insert(tables.keys), {"k": key("network/n"), "gen": 7})
    cluster.sync()
    cluster.record(change("port/p", shared=["network/n"]), node=1)
    gates = dict(cluster.query(sa.select(tables.gates)))
    assert gates[key("network/n")] == 8
    assert [gen for k, _, gen in cluster.holds() if k == key("network/n")] == [8]
    wait_until(lambda: cluster.query(gen_of("network/n"))[0].gen == 8, 10.0, "gen 8")


@pytest.mark.parametrize("ports", [0, 30])
def test_a_change_that_is_still_to_commit_is_not_in_the_way_of_others_of_its_network(
    cluster: World, ports: int
) -> None:
    """It locks no gap in which the other node's keys, gates and touches are inserted.

    Not if MariaDB takes tables for small ones either: touches are gone by the end of a transaction.
    """
    shared = ["network/n", "subnet/s", "security_group/g"]
    cluster.record(*(change(name) for name in shared))
    for number in range(ports):
        cluster.record(change(f"port/{number}", shared=shared))
    with cluster.api(0).begin() as connection:
        for table in (tables.keys, tables.gates):
            connection.exec_driver_sql(f"ANALYZE TABLE {table}")
    with cluster.api(0).connect() as late:
        record.record(late, [change("port/m", shared=shared)])
        for name in ("port/a", "port/z"):
            cluster.record(change(name, shared=shared), node=1)  # applied at the first node too
        late.commit()
    of_ports = sa.select(tables.workflows.c.resource_id).where(
        tables.workflows.c.resource_type == "port"
    )
    assert {("a",), ("m",), ("z",)} <= set(cluster.query(of_ports))
