# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What is configured wrongly keeps an API process from starting, and it says what to do.

What is configured rightly is ready when the process takes its first request.
"""

import concurrent.futures
import os
import pathlib
import socket
import subprocess
import typing

import pytest
import sqlalchemy as sa
from neutron.db.migration.models import head

from lab import client, neutron
from lab.databases import pool
from lab.neutron import config as lab_config
from lab.neutron import forks
from lab.neutron import schema as lab_schema
from networking_workflow import releases
from networking_workflow.journal import schema
from tests.functional import booting
from tests.waiting import wait_until


def boot(
    database_url: str,
    *,
    options: typing.Mapping[str, lab_config.Section] | None = None,
    **profile: typing.Any,
) -> "subprocess.CompletedProcess[str]":
    """Import the WSGI application in a process of its own, as a server does."""
    kind = lab_config.Profile(
        database_url=database_url,
        options={"database": {"max_retries": 0, "connection": database_url}, **(options or {})},
        **{"core_plugin": "ml2_workflow", **profile},
    )
    with lab_config.Deployment(kind) as deployment:
        files = [os.fspath(path) for path in deployment.config_files("here")]
        environment = {
            **os.environ,
            "OS_NEUTRON_CONFIG_DIR": "/",
            "OS_NEUTRON_CONFIG_FILES": ";".join(files),
        }
        return booting.run(forks.APPLICATION, environment)


def assert_refused(ended: subprocess.CompletedProcess[str], text: str) -> None:
    """The process ended, its last line says why, and there is no trace of the code."""
    assert ended.returncode == 3, ended.stderr
    assert text in ended.stderr.strip().splitlines()[-1]
    assert "Traceback" not in ended.stderr


def test_missing_tables(tmp_path: pathlib.Path) -> None:
    ended = boot(f"sqlite:///{tmp_path}/empty.sqlite")
    assert_refused(ended, "run neutron-db-manage --subproject networking-workflow upgrade heads")


def test_neutrons_tables_without_ours(database_pool: pool.Pool) -> None:
    with lab_schema.installed(database_pool, "mariadb", workflow=False) as database:
        ended = boot(database.url)
    assert_refused(ended, "run neutron-db-manage --subproject networking-workflow upgrade heads")


def test_a_misspelt_core_plugin(tmp_path: pathlib.Path) -> None:
    ended = boot(f"sqlite:///{tmp_path}/empty.sqlite", core_plugin="ml2_workflw")
    assert ended.returncode != 0
    assert "Plugin 'ml2_workflw' not found" in ended.stdout  # Neutron's log


def test_an_unreachable_database() -> None:
    ended = boot("mysql+pymysql://neutron:secret@127.0.0.1:1/neutron")
    assert_refused(ended, "The database of [database] connection does not answer")
    assert "secret" not in ended.stderr


def test_a_mechanism_driver_that_is_not_installed(tmp_path: pathlib.Path) -> None:
    ended = boot(f"sqlite:///{tmp_path}/empty.sqlite", mechanism_drivers=("ovn", "ovm"))
    assert_refused(ended, "[ml2] mechanism_drivers = ovn,ovm: ovm is not installed; these are: ")


def url_of(folder: pathlib.Path) -> str:
    """Return the URL of a database with all tables."""
    url = f"sqlite:///{folder}/neutron.sqlite"
    engine = sa.create_engine(url)
    head.get_metadata().create_all(engine)
    schema.create_all(engine)
    engine.dispose()
    return url


#: Option of [ovn], a value that is refused, [workflow] mode, and why.
MODES = [("neutron_sync_mode", "repair", "drive", "past the changes that wait in the queue")]
if releases.installed() >= 29:
    per_segment = ("logical_switch_per_vlan_segment", "true")
    for mode in ("drive", "shadow"):  # it cannot even be compared
        MODES.append((*per_segment, mode, "one logical switch for each network"))


@pytest.mark.parametrize(("option", "value", "mode", "text"), MODES)
def test_a_mode_of_ovn_that_workflows_do_not_go_with(
    tmp_path: pathlib.Path, option: str, value: str, mode: str, text: str
) -> None:
    ended = boot(
        url_of(tmp_path),
        mechanism_drivers=("ovn",),
        options={"ovn": {option: value}},
        workflow={"mode": mode},
    )
    assert_refused(ended, text)


@pytest.mark.parametrize(
    ("option", "value", "text"),
    [
        ("conductor", "threads", "it must be one of embedded, separate."),
        ("mode", "shadows", "it must be one of drive, shadow."),
        ("leases_s", "30", "there is no such option"),
    ],
)
def test_a_bad_option(tmp_path: pathlib.Path, option: str, value: str, text: str) -> None:
    url = f"sqlite:///{tmp_path}/journal.sqlite"
    engine = sa.create_engine(url)
    schema.create_all(engine)
    engine.dispose()
    ended = boot(url, workflow={option: value})
    assert_refused(ended, f"[workflow] {option} = {value}: {text}")


def test_a_graph_of_drivers_that_is_none(tmp_path: pathlib.Path) -> None:
    url = f"sqlite:///{tmp_path}/journal.sqlite"
    engine = sa.create_engine(url)
    schema.create_all(engine)
    engine.dispose()
    graph = {"driver_graph": "fabric after ovn"}
    ended = boot(url, mechanism_drivers=("fabric",), workflow=graph)
    assert_refused(
        ended,
        "[workflow] driver_graph: fabric after ovn: ovn is not among the mechanism drivers",
    )


@pytest.mark.parametrize(
    ("group", "option", "value", "text"),
    [
        ("fabrik", "attempts", 3, "[workflow_driver:fabrik]: there is no such driver in [ml2]"),
        ("fabric", "atempts", 3, "[workflow_driver:fabric] atempts = 3: there is no such option"),
        ("fabric", "timeout_s", -1, "timeout_s = -1: it must be a number of seconds from 0 to"),
    ],
)
def test_a_bad_group_of_a_driver(
    tmp_path: pathlib.Path, group: str, option: str, value: int, text: str
) -> None:
    ended = boot(
        f"sqlite:///{tmp_path}/empty.sqlite",
        mechanism_drivers=("fabric",),
        options={f"workflow_driver:{group}": {option: value}},
    )
    assert_refused(ended, text)


def test_a_deferred_driver_that_is_not_configured(tmp_path: pathlib.Path) -> None:
    ended = boot(
        f"sqlite:///{tmp_path}/empty.sqlite",
        mechanism_drivers=("fabric",),
        workflow={"deferred_binding": "fabric,fabrik"},
    )
    refused = "deferred_binding = fabric,fabrik: fabrik is not among [ml2] mechanism_drivers = "
    assert_refused(ended, f"[workflow] {refused}fabric.")


def accepts(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address).close()
    except ConnectionRefusedError:
        return False
    return True


def test_the_first_requests_of_a_process_are_all_answered_when_they_come_together(
    database_pool: pool.Pool,
) -> None:
    with lab_schema.installed(database_pool, "mariadb") as database:
        kind = lab_config.Profile(
            database_url=database.url, core_plugin="ml2_workflow", tenants=True
        )
        with lab_config.Deployment(kind) as deployment:
            api = neutron.NeutronApi(deployment)
            try:
                api.launch()
                wait_until(lambda: accepts(("127.0.0.1", api.port)), 60, "the server to listen")

                def create(number: int) -> int:
                    with client.Client(api.url, headers=client.identity("first")) as caller:
                        body = {"network": {"name": f"first-{number}"}}
                        return caller.call("POST", "/networks", body).status

                with concurrent.futures.ThreadPoolExecutor(api.threads) as several:
                    answers = list(several.map(create, range(api.threads)))
            finally:
                api.kill()
    assert answers == [201] * api.threads
