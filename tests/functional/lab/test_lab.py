# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The lab's own promises: servers start, restart, answer, and leave nothing behind."""

import concurrent.futures
import functools
import os
import pathlib
import signal
import subprocess
import sys
import threading
import typing

import pytest
import sqlalchemy as sa

from lab import client, databases, neutron, ovn, processes, templates
from lab.databases import galera, pool
from lab.neutron import schema
from tests.waiting import DeadlinePassed, wait_until

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]


def processes_with(text: str) -> list[str]:
    """Return the command lines, of all processes there are, that have ``text`` in them."""
    found = []
    for file in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has just ended
            continue
        if text in command:
            found.append(command)
    return found


def processes_of_group(group: int) -> list[int]:
    """Return the ids of all processes of a process group."""
    found = []
    for file in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(file.name)) == group:
                found.append(int(file.name))
        except ProcessLookupError:  # it has just ended
            continue
    return found


def rows(url: str) -> list[int]:
    with pool.engine(url) as engine, engine.connect() as connection:
        return list(connection.execute(sa.text("SELECT a FROM t ORDER BY a")).scalars())


def execute(url: str, *statements: str) -> None:
    with pool.engine(url) as engine, engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))


@pytest.mark.parametrize("kind", list(pool.KINDS))
def test_committed_rows_outlive_restart_and_kill_and_nothing_outlives_close(kind: str) -> None:
    with pool.KINDS[kind]() as server:
        urls = server.create_database("journal")
        execute(urls[0], "CREATE TABLE t (a INTEGER PRIMARY KEY)", "INSERT INTO t VALUES (1)")
        server.restart()
        execute(urls[-1], "INSERT INTO t VALUES (2)")
        server.kill()
        server.start()
        assert [rows(url) for url in urls] == [[1, 2]] * len(urls)
        server.drop_database("journal")
        server.drop_database("journal")  # absent is fine
        if isinstance(server, databases.SQLite):
            folder = str(server.folder)
        elif isinstance(server, databases.Galera):
            folder = str(server.nodes[1].folder.path)
        elif isinstance(server, databases.MariaDB):
            folder = str(server.node.folder.path)
        else:
            assert isinstance(server, databases.PostgreSQL)
            folder = str(server.folder.path)
    assert processes_with(folder) == []
    assert not pathlib.Path(folder).exists()


def test_first_galera_node_goes_on_when_the_second_is_killed_and_joins_again() -> None:
    with databases.Galera() as cluster:
        first, second = cluster.create_database("journal")
        execute(first, "CREATE TABLE t (a INTEGER PRIMARY KEY)", "INSERT INTO t VALUES (1)")
        # Killed while it creates the table, MariaDB 10.11 undoes that when it starts again: by its
        # old ddl_recovery.log, in the data that the other node has sent it meanwhile.
        wait_until(lambda: _has(second, [1]), 60, "the second node to have the table")
        cluster.nodes[1].kill()
        wait_until(
            lambda: galera.is_ready(cluster.nodes[0], 1), 60, "the first node to go on by itself"
        )
        execute(first, "INSERT INTO t VALUES (2)")
        cluster.start_node(1)
        # It takes connections before it has applied what it missed.
        wait_until(lambda: _has(second, [1, 2]), 60, "the second node to have what it missed")


def _has(url: str, expected: list[int]) -> bool:
    try:
        return rows(url) == expected
    except sa.exc.ProgrammingError:  # not even the table
        return False


@pytest.mark.parametrize("kind", list(pool.KINDS))
def test_the_pool_lends_tables_without_the_rows_of_the_test_before(
    database_pool: pool.Pool, kind: str
) -> None:
    table = sa.Table("keys", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True))
    before = database_pool.empty(kind, "lent", table.metadata.create_all)
    engine = sa.create_engine(before.url)
    committed, left_open = engine.connect(), engine.connect()
    committed.execute(sa.insert(table).values(id=1))
    committed.commit()
    committed.invalidate()
    left_open.execute(sa.select(table)).all()
    left_open.execute(sa.update(table).values(id=2))  # a test that died with its locks
    after = database_pool.empty(kind, "lent", table.metadata.create_all)
    for url in after.urls:
        with pool.engine(url) as fresh, fresh.connect() as connection:
            assert connection.execute(sa.select(table)).all() == []
    # Left to the garbage collector it would raise wherever that happens to run.
    left_open.invalidate()
    left_open.close()
    committed.close()
    engine.dispose()


def test_servers_do_not_outlive_a_killed_owner() -> None:
    script = (
        "import sys, threading\n"
        "from lab import databases, ovn\n"
        "owner = databases.MariaDB()\n"
        "starter = threading.Thread(target=owner.start)\n"  # its end must not end the server
        "starter.start(); starter.join()\n"
        "northbound = ovn.OvnCentral(); northbound.start()\n"
        "print(owner.node.folder.path, northbound.folder.path, flush=True)\n"
        "sys.stdin.read()\n"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout is not None
    folders = owner.stdout.readline().split()
    assert len(folders) == 2
    try:
        assert all(processes_with(folder) for folder in folders)
    finally:
        owner.kill()
        owner.communicate()
    for folder in folders:
        wait_until(
            functools.partial(lambda folder: not processes_with(folder), folder),
            10,
            f"the servers in {folder} to be gone",
        )
        processes.remove_tree(pathlib.Path(folder))


@pytest.mark.parametrize("how", [signal.SIGINT, None], ids=["ctrl-c", "exception"])
def test_an_owner_that_fails_cleans_up(how: signal.Signals | None) -> None:
    script = (
        "import sys\n"
        "from lab import ovn\n"
        "central = ovn.OvnCentral(); central.start()\n"
        "print(central.folder.path, flush=True)\n"
        "sys.stdin.read()\n"
        "raise RuntimeError\n"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout is not None
    folder = owner.stdout.readline().strip()
    if how is not None:
        owner.send_signal(how)
    owner.communicate()
    assert owner.returncode != 0
    assert processes_with(folder) == []
    assert not pathlib.Path(folder).exists()


def test_a_missing_program_is_named_with_its_package() -> None:
    with pytest.raises(processes.MissingProgram, match="apt-get install galera-99"):
        processes.find_program("garbd-99", package="galera-99")


def test_a_server_that_ends_at_once_shows_its_log() -> None:
    with pytest.raises(processes.LabError, match="no-such-option"):
        databases.MariaDB(options=["--no-such-option"]).__enter__()


def test_wait_until_says_what_it_waited_for() -> None:
    with pytest.raises(DeadlinePassed, match=r"for the moon; last answer: 0"):
        wait_until(lambda: 0, 0.01, "the moon")


def test_ovn_keeps_its_contents_over_stop_and_kill_of_the_northbound() -> None:
    with ovn.OvnCentral() as central:
        central.nbctl("ls-add", "network")
        central.stop_nb()
        with pytest.raises(processes.LabError):
            central.nbctl("show", wait_s=1)
        central.start_nb()
        central.kill_nb()
        central.start_nb()
        central.pause_nb()
        with pytest.raises(processes.LabError):
            central.nbctl("show", wait_s=1)
        central.resume_nb()
        central.restart()
        assert "network" in central.nbctl("show")
        central.nbctl("--wait=sb", "sync")  # northd follows
        folder = str(central.folder.path)
    assert processes_with(folder) == []


@pytest.fixture(scope="module")
def stock_database(database_pool: pool.Pool) -> typing.Iterator[pool.Database]:
    with schema.installed(database_pool, "mariadb", workflow=False) as database:
        yield database


def test_stock_neutron_binds_a_port_on_ovn_and_stops_when_told(
    stock_database: pool.Database,
) -> None:
    with ovn.OvnCentral() as central:
        central.add_chassis("chassis1", "compute1")
        profile = neutron.Profile(
            database_url=stock_database.url, mechanism_drivers=("ovn",), ovn=central
        )
        with neutron.Deployment(profile) as deployment:
            api = neutron.NeutronApi(deployment)
            with api, client.Client(api.url, project_id="on-ovn") as caller:
                network = caller.create("networks", name="lab")
                caller.create("subnets", network_id=network["id"], ip_version=4, cidr="10.0.0.0/24")
                port = caller.create(
                    "ports", network_id=network["id"], **{"binding:host_id": "compute1"}
                )
                assert port["binding:vif_type"] == "ovs"
                central.nbctl("--wait=sb", "sync")
                central.plug(port["id"], "chassis1")
                wait_until(
                    lambda: caller.show("ports", port["id"])["status"] == "ACTIVE",
                    20,
                    "the port to be ACTIVE: OVN's events reach the API",
                )
                group = api.pid
                assert len(processes_of_group(group)) == 2  # gunicorn and its worker
            assert processes_of_group(group) == []
            with pool.engine(stock_database.url) as engine, engine.connect() as connection:
                ring = connection.execute(sa.text("SELECT COUNT(*) FROM ovn_hash_ring"))
                assert ring.scalar_one() == 0


def test_neutron_believes_tenants_headers_where_the_profile_says_so(
    stock_database: pool.Database,
) -> None:
    profile = neutron.Profile(
        database_url=stock_database.url,
        tenants=True,
        policy={"create_port:fixed_ips": "rule:admin_only"},
    )
    with neutron.Deployment(profile) as deployment, neutron.NeutronApi(deployment) as api:
        mine = client.Client(api.url, headers=client.identity("mine"))
        other = client.Client(api.url, headers=client.identity("other"))
        network = mine.create("networks", project_id="mine", name="secret")
        groups = mine.list("security-groups")
        assert [len(group["security_group_rules"]) for group in groups] == [4]
        assert mine.show("networks", network["id"])["name"] == "secret"
        assert other.call("GET", f"/networks/{network['id']}").status == 404
        assert other.call("POST", "/networks", {"network": {"project_id": "mine"}}).status == 400


def test_a_killed_worker_ends_the_api_and_it_starts_again_at_the_same_url(
    stock_database: pool.Database,
) -> None:
    with neutron.Deployment(neutron.Profile(database_url=stock_database.url)) as deployment:
        api = neutron.NeutronApi(deployment)
        api.start()
        os.kill(api.worker_pid, signal.SIGKILL)
        process = api.process
        assert process is not None
        wait_until(lambda: not process.alive(), 10, "gunicorn to end")
        api.start()
        connection = client.sdk(api.url)
        assert connection.network.create_network(name="x", project_id="sdk").name == "x"
        group = api.pid
        api.kill()
        assert processes_of_group(group) == []


def test_an_api_that_cannot_start_says_why(stock_database: pool.Database) -> None:
    profile = neutron.Profile(database_url=stock_database.url, mechanism_drivers=("no_such",))
    with neutron.Deployment(profile) as deployment:
        api = neutron.NeutronApi(deployment)
        with pytest.raises(processes.LabError, match="no_such"):
            api.start()


def test_second_schema_comes_from_the_template_and_is_the_same(database_pool: pool.Pool) -> None:
    for kind in ("mariadb", "sqlite"):
        with database_pool.blank(kind) as first, database_pool.blank(kind) as second:
            schema.create(first)
            schema.create(second)
            assert contents(first.url) == contents(second.url)


def test_a_template_that_several_ask_for_is_made_by_one_and_there_for_all(
    tmp_path: pathlib.Path,
) -> None:
    template, made = tmp_path / "template", tmp_path / "made"
    made.mkdir()
    (made / "file").write_text("content")
    asking = threading.Barrier(3)

    def ask(_number: int) -> tuple[bool, str]:
        asking.wait(10)
        was_made = templates.once(template, lambda: made)
        return was_made, (template / "file").read_text()

    with concurrent.futures.ThreadPoolExecutor(3) as several:
        answers = sorted(several.map(ask, range(3)))
    assert answers == [(False, "content")] * 2 + [(True, "content")]


def test_what_an_installed_database_is_lent_for_is_gone_when_it_is_lent_again(
    database_pool: pool.Pool,
) -> None:
    with schema.installed(database_pool, "mariadb") as database:
        before = contents(database.url)
        execute(
            database.url,
            "INSERT INTO standardattributes (resource_type, revision_number) VALUES ('x', 0)",
            "DELETE FROM securitygroupdefaultrules",
        )
        with schema.installed(database_pool, "mariadb") as other:
            assert contents(other.url) == before != contents(database.url)
    with schema.installed(database_pool, "mariadb") as again:
        assert again.name == database.name
        assert contents(again.url) == before


#: What a database says of its own tables, in one statement: asking for each takes minutes.
_TABLES = {
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE type = 'table' ORDER BY name",
    "mysql": "SELECT table_name, column_name, column_type FROM information_schema.columns "
    "WHERE table_schema = DATABASE() ORDER BY table_name, ordinal_position",
}


def contents(url: str) -> tuple[list[typing.Any], list[typing.Any]]:
    """Return every table with its columns, and every table with its number of rows."""
    with pool.engine(url) as engine, engine.connect() as connection:
        columns = connection.execute(sa.text(_TABLES[engine.dialect.name])).all()
        counts = sa.union_all(
            *(
                sa.select(sa.literal(name), sa.func.count()).select_from(sa.table(name))
                for name in sorted({row[0] for row in columns})
            )
        )
        return list(map(tuple, columns)), sorted(map(tuple, connection.execute(counts)))
