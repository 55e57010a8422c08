# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Conductors beside and inside real API processes."""

import os
import pathlib
import subprocess
import sys

import pytest
import requests
import sqlalchemy as sa
from oslo_config import cfg

from lab import neutron
from lab.databases import pool
from lab.neutron import forks, schema
from networking_workflow.cmd import assembly
from networking_workflow.drivers.fabric import server
from networking_workflow.journal import schema as journal_schema
from networking_workflow.journal import tables
from tests.functional import booting
from tests.waiting import wait_until

ROOT = pathlib.Path(__file__).parents[3]


@pytest.fixture
def database(database_pool):
    with schema.installed(database_pool, "sqlite") as database:
        yield database


@pytest.fixture
def fabric():
    with server.FabricServer(("127.0.0.1", 0)).running() as running:
        yield running


def rows(database, *columns):
    with pool.engine(database.url) as engine, engine.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.select(*columns))]


def conductors(database):
    """Return pid and state of each."""
    table = tables.conductors.c
    return rows(database, table.pid, table.state)


def all_done(database):
    states = rows(database, tables.workflows.c.resource_type, tables.workflows.c.state)
    return {kind for kind, _ in states} >= {"network"} and {"SUCCESS"} == {one for _, one in states}


def profile(database, fabric, **workflow):
    return neutron.Profile(
        database_url=database.url,
        core_plugin="ml2_workflow",
        mechanism_drivers=("fabric",),
        fabric_url=fabric.url,
        workflow=workflow,
    )


def create_network(api):
    answer = requests.post(
        f"{api.url}/v2.0/networks",
        json={"network": {"name": "n", "project_id": "p"}},
        timeout=60,
    )
    answer.raise_for_status()


def test_a_conductor_of_its_own_runs_what_the_api_records_and_ends_with_0(database, fabric):
    with neutron.Deployment(profile(database, fabric, conductor="separate")) as deployment:
        conductor = neutron.Conductor(deployment)
        with neutron.NeutronApi(deployment) as api:
            create_network(api)
            assert conductors(database) == []  # the API runs none
            command = conductor._argv()
            with subprocess.Popen(
                command, env=conductor._environment(), stderr=subprocess.PIPE, text=True
            ) as process:
                wait_until(lambda: all_done(database), 90, "the network to be made")
                process.terminate()
                process.communicate(timeout=60)
            assert process.returncode == 0
            assert conductors(database) == [(process.pid, "STOPPED")]


def test_an_embedded_conductor_runs_in_the_api_and_stops_with_it(database, fabric):
    with neutron.Deployment(profile(database, fabric, conductor="embedded")) as deployment:
        api = neutron.NeutronApi(deployment)
        with api:
            create_network(api)
            wait_until(lambda: all_done(database), 60, "the network to be made")
            worker = api.worker_pid
            assert conductors(database) == [(worker, "ALIVE")]
        assert conductors(database) == [(worker, "STOPPED")]


def test_a_worker_forked_later_starts_its_own_conductor_at_its_first_commit(database_pool):
    # On a server: SQLite's library does not survive a fork while other threads are inside it.
    database = database_pool.empty("mariadb", "journal", journal_schema.create_all)
    command = [sys.executable, "-m", "tests.functional.conductor.forking", database.url]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        lines = dict(process.stdout.readline().split() for _ in range(2))
        pids = {int(lines["parent"]), int(lines["worker"])}
        wait_until(
            lambda: {pid for pid, state in conductors(database) if state == "ALIVE"} == pids,
            60,
            lambda: f"one conductor in each of {pids}; there are {conductors(database)}",
        )
        process.stdin.close()
    assert process.returncode == 0
    assert sorted(conductors(database)) == sorted((pid, "STOPPED") for pid in pids)


@pytest.mark.parametrize(
    ("kind", "written", "of_the_journal", "of_neutron"),
    [
        ("galera", "", 1, 1),
        ("galera", "mysql_wsrep_sync_wait = 0", 1, 0),
        ("mariadb", "", 0, None),
    ],
)
def test_on_galera_alone_reads_wait_for_the_other_nodes(
    database_pool, tmp_path, kind, written, of_the_journal, of_neutron
):
    url = database_pool.create(kind).url
    (tmp_path / "neutron.conf").write_text(f"[database]\nconnection = {url}\n{written}\n")
    conf = cfg.ConfigOpts()
    conf(["--config-file", str(tmp_path / "neutron.conf")])
    engine = assembly.database(conf, workers=1)
    try:
        assembly.read_causally(conf, engine)
        with engine.connect() as connection:
            found = connection.exec_driver_sql("SELECT @@SESSION.wsrep_sync_wait").scalar()
    finally:
        engine.dispose()
    assert (found, conf.database.mysql_wsrep_sync_wait) == (of_the_journal, of_neutron)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"mechanism_drivers": ("ovnn",)}, ["mechanism_drivers", "ovnn", "not installed"]),
        (
            {"core_plugin": "ml2_workflw"},
            ["Plugin 'ml2_workflw' not found", "Correct core_plugin"],
        ),
        (
            {"workflow": {"lease_s": "soon"}},
            ["[workflow] lease_s = soon: it must be", "a number"],
        ),
        ({"workflow": {"leases_s": "30"}}, ["[workflow] leases_s = 30", "no such option"]),
        (
            {
                "mechanism_drivers": ("fabric",),
                "options": {"workflow_driver:ovn": {"attempts": 3}},
            },
            ["[workflow_driver:ovn]", "no such driver", "groups are [workflow_driver:fabric]"],
        ),
        ({"core_plugin": "ml2"}, ["core_plugin = ml2 ", "set core_plugin = ml2_workflow"]),
        ({"workflow": {"wakeup_dir": "/etc/passwd/x"}}, ["wakeup_dir", "Not a directory"]),
        (
            {"database_url": "mysql+pymysql://root@127.0.0.1:1/neutron"},
            ["[database] connection", "Connection refused", "Start it, or correct the URL"],
        ),
        (
            {"options": {"ml2": {"type_drivers": "local"}}},
            ["No type driver", "geneve", "Correct core_plugin"],
        ),
    ],
    ids=[
        "driver",
        "misspelt",
        "value",
        "option",
        "group",
        "plugin",
        "folder",
        "database",
        "logged",
    ],
)
def test_what_is_wrong_is_the_last_line_and_it_does_not_start(database, wrong, words):
    right = {"database_url": database.url, "core_plugin": "ml2_workflow"}
    with neutron.Deployment(neutron.Profile(**{**right, **wrong})) as deployment:
        ended = run_to_its_end(neutron.Conductor(deployment))
    assert ended.returncode == 1
    last = ended.stderr.strip().splitlines()[-1]
    assert [word for word in words if word not in last] == []
    assert "Traceback" not in ended.stderr
    assert conductors(database) == []


@pytest.mark.parametrize("kind", ["sqlite", "mariadb"])
def test_without_migrations_it_names_the_command(database_pool, kind):
    # On MariaDB Neutron's are done, ours are not.
    stock = schema.installed(database_pool, kind, workflow=False)
    with stock if kind == "mariadb" else database_pool.blank(kind) as lent:
        right = neutron.Profile(database_url=lent.url, core_plugin="ml2_workflow")
        with neutron.Deployment(right) as deployment:
            ended = run_to_its_end(neutron.Conductor(deployment))
    assert ended.returncode == 1
    assert "neutron-db-manage --subproject networking-workflow upgrade heads" in ended.stderr


def run_to_its_end(conductor):
    _, _, *arguments = conductor._argv()  # interpreter and program
    environment = {"PATH": os.environ["PATH"], **conductor._environment()}
    return booting.run(forks.CONDUCTOR, environment, *arguments)


def test_the_core_plugin_is_not_imported_before_the_configuration_was_read():
    """At its import it prepares the database that the configuration names."""
    code = (
        "import sys, networking_workflow.cmd.conductor;"
        "sys.exit('networking_workflow.capture.plugin' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
