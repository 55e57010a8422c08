# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Neutron's processes as a deployment runs them (docs/deploy.md), with one OVN and one MariaDB."""

import collections.abc
import contextlib
import dataclasses
import os
import pathlib
import shlex
import signal
import subprocess
import threading
import typing

import pytest
import sqlalchemy as sa

from lab import client, neutron, ovn
from lab.databases import pool
from lab.neutron import deployed, schema
from networking_workflow.journal import tables
from tests.functional.deploy import page
from tests.waiting import wait_until

PATIENCE_S = 120

#: Less than the 40 s after which gunicorn kills a worker that does not end by itself.
STOP_S = 35

#: Program -> what it logs when its work has begun.
BESIDE = {
    "neutron-rpc-server": "RpcWorker process has finished the post initialization",
    "neutron-periodic-workers": "Selected multiprocessing start method",
    "neutron-ovn-maintenance-worker": "Starting OVNClientPlacementExtension",
}

#: Server -> what it logs when it has been told to stop.
STOPPING = {"gunicorn": "Handling signal: term", "uwsgi": "graceful shutdown triggered"}


@pytest.fixture(scope="module")
def profile(database_pool: pool.Pool) -> collections.abc.Iterator[neutron.Profile]:
    with contextlib.ExitStack() as stack:
        central = stack.enter_context(ovn.OvnCentral())
        database = stack.enter_context(schema.installed(database_pool, "mariadb"))
        yield neutron.Profile(
            database_url=database.url,
            core_plugin="ml2_workflow",
            mechanism_drivers=("ovn",),
            service_plugins=("ovn-router",),
            ovn=central,
            workflow={
                "conductor": "embedded",
                "lease_s": 4,
                "chores_s": 1,
                "probe_s": 0.5,
                "ovsdb_timeout_s": 18,
            },
            options={"DEFAULT": {"rpc_workers": 1, "rpc_state_report_workers": 0}},
        )


def rows(profile: neutron.Profile, query: sa.Select[typing.Any]) -> list[typing.Any]:
    with pool.engine(profile.database_url) as engine, engine.connect() as connection:
        return list(connection.execute(query).all())


def living(profile: neutron.Profile, host: str) -> set[int]:
    """Return the processes of a host whose conductors are registered."""
    table = tables.conductors.c
    found = sa.select(table.pid).where(table.host == host, table.state == "ALIVE")
    return {row.pid for row in rows(profile, found)}


def in_ovn(profile: neutron.Profile, port_id: str) -> bool:
    assert profile.ovn is not None
    table = tables.workflows.c
    found = rows(profile, sa.select(table.state).where(table.resource_id == port_id))
    name = profile.ovn.nbctl(
        "--bare", "--columns=name", "find", "Logical_Switch_Port", f"name={port_id}"
    )
    return bool(found) and found[-1].state == "SUCCESS" and name.strip() == port_id


def make_port(api: neutron.NeutronApi) -> str:
    """Return the id of a new port on a new network."""
    caller = client.Client(api.url)
    try:
        network = caller.create("networks", name="deployed")
        return str(caller.create("ports", network_id=network["id"])["id"])
    finally:
        caller.close()


def _replace_a_worker(profile: neutron.Profile, api: deployed.DeployedApi) -> None:
    """Kill a worker; another one with a conductor comes, and runs what it records."""
    killed = api.worker_pids[0]
    os.kill(killed, signal.SIGKILL)
    wait_until(
        lambda: (
            killed not in api.worker_pids
            and living(profile, api.host) == set(api.worker_pids)
            and len(api.worker_pids) == 2
        ),
        PATIENCE_S,
        "another worker with a conductor in the place of the killed one",
    )
    port = make_port(api)
    wait_until(lambda: in_ovn(profile, port), PATIENCE_S, "the port to be in OVN")


class Left(typing.NamedTuple):
    """What a server has left to do when it ends."""

    network: str
    port: str


def name_in_ovn(profile: neutron.Profile, network_id: str) -> str:
    assert profile.ovn is not None
    column = "external_ids:neutron\\:network_name"
    switch = ("Logical_Switch", f"neutron-{network_id}")
    return profile.ovn.nbctl("--bare", "get", *switch, column).strip().strip('"')


def states_of(profile: neutron.Profile, resource_id: str) -> list[str]:
    table = tables.workflows.c
    found = sa.select(table.state).where(table.resource_id == resource_id)
    return [row.state for row in rows(profile, found.order_by(table.created_at))]


@contextlib.contextmanager
def waiting_request(
    profile: neutron.Profile, api: deployed.DeployedApi, network_id: str
) -> collections.abc.Iterator[list[client.Answer]]:
    """Rename a network, which cannot go on before the block ends; lend where the answer comes."""
    answers: list[client.Answer] = []

    def rename() -> None:
        with client.Client(api.url) as caller:
            body = {"network": {"name": "after"}}
            answers.append(caller.call("PUT", f"/networks/{network_id}", body))

    asking = threading.Thread(target=rename, daemon=True)
    with pool.engine(profile.database_url) as engine, engine.begin() as connection:
        connection.exec_driver_sql(f"SELECT id FROM networks WHERE id = '{network_id}' FOR UPDATE")
        asking.start()
        waits = sa.text("SELECT 1 FROM information_schema.innodb_lock_waits")
        wait_until(
            lambda: rows(profile, waits),
            PATIENCE_S,
            "the request to wait for the row",
            every_s=0.2,  # asked more often than every 0.1 s, InnoDB repeats its last answer
        )
        yield answers
    asking.join(PATIENCE_S)


def _stop_in_a_call(profile: neutron.Profile, api: deployed.DeployedApi) -> Left:
    """SIGTERM while OVN does not answer a driver, and the database does not answer a request.

    The request is answered; the workflow is given back, since OVN hangs for longer than the driver
    waits.
    """
    assert profile.ovn is not None
    with client.Client(api.url) as caller:
        network, renamed = (caller.create("networks", name="before")["id"] for _ in range(2))
        for one in (network, renamed):
            wait_until(lambda one=one: states_of(profile, one) == ["SUCCESS"], PATIENCE_S, one)
        workers = api.worker_pids
        profile.ovn.pause_nb()
        try:
            with waiting_request(profile, api, renamed) as answers:
                port = caller.create("ports", network_id=network)["id"]
                wait_until(lambda: states_of(profile, port) == ["RUNNING"], PATIENCE_S, "a call")
                os.kill(api.pid, signal.SIGTERM)
                wait_until(lambda: STOPPING[api.server] in api.log, PATIENCE_S, "the stop to begin")
                assert states_of(profile, port) == ["RUNNING"]
            wait_until(lambda: api.exit_code is not None, STOP_S, lambda: f"the end:\n{api.log}")
            assert api.exit_code == 0, api.log
            assert [pid for pid in workers if pathlib.Path(f"/proc/{pid}").exists()] == []
            assert [answer.status for answer in answers] == [200], api.log
            assert living(profile, api.host) == set()  # each has signed off
            assert states_of(profile, port) == ["RETRYING"]
        finally:
            profile.ovn.resume_nb()
    return Left(renamed, port)


@pytest.mark.parametrize("server", ["gunicorn", "uwsgi"])
def test_two_workers_run_what_they_record_and_end_in_order(
    profile: neutron.Profile, server: str
) -> None:
    with neutron.Deployment(profile) as deployment:
        api = deployed.DeployedApi(deployment, server, host=f"{server}-host")
        with api:
            wait_until(
                lambda: living(profile, api.host) == set(api.worker_pids),
                PATIENCE_S,
                "a conductor in each of the workers, and none in the server itself",
            )
            assert len(api.worker_pids) == 2
            port = make_port(api)
            wait_until(lambda: in_ovn(profile, port), PATIENCE_S, "the port to be in OVN")

            _replace_a_worker(profile, api)
            left = _stop_in_a_call(profile, api)
        with neutron.Conductor(deployment):
            wait_until(lambda: in_ovn(profile, left.port), PATIENCE_S, "the port to be in OVN")
            wait_until(
                lambda: name_in_ovn(profile, left.network) == "after", PATIENCE_S, "its new name"
            )


@pytest.mark.parametrize(
    ("server", "words"),
    [("gunicorn", ["--preload"]), ("uwsgi", ["--disable-logging"])],
)
def test_server_that_loads_neutron_before_it_forks_does_not_start(
    profile: neutron.Profile, server: str, words: list[str]
) -> None:
    with neutron.Deployment(profile) as deployment:
        api = deployed.DeployedApi(deployment, server, host=f"preloading-{server}")
        argv = [word for word in api._argv() if word != "--lazy-apps"] + words
        ended = subprocess.run(
            argv,
            env={**api._environment(), "PYTHONPATH": str(page.PAGE.parents[1])},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    assert ended.returncode != 0
    assert f"{server.replace('uwsgi', 'uWSGI')} loads neutron-api before it forks" in (
        ended.stdout + ended.stderr
    )


def northbound(profile: neutron.Profile) -> tuple[str, ...]:
    assert profile.ovn is not None
    ports = "--columns=_uuid,name,addresses,enabled,options,external_ids"
    switches = "--columns=_uuid,name,ports,other_config,external_ids"
    return (
        profile.ovn.nbctl(ports, "list", "Logical_Switch_Port"),
        profile.ovn.nbctl(switches, "list", "Logical_Switch"),
    )


def test_no_process_beside_the_api_writes_what_is_queued(profile: neutron.Profile) -> None:
    recording = dataclasses.replace(profile, workflow={"conductor": "separate"})
    with contextlib.ExitStack() as stack:
        deployment = stack.enter_context(neutron.Deployment(recording))
        with neutron.NeutronApi(deployment, host="recording") as api:
            port = make_port(api)
        before = northbound(profile)
        beside = [
            deployed.Beside(deployment, program, says=says) for program, says in BESIDE.items()
        ]
        for process in beside:
            stack.callback(process.kill)
            process.launch()
        for process in beside:
            process.wait_ready(deadline_s=PATIENCE_S)
        assert northbound(profile) == before
        assert [process.terminate(PATIENCE_S) for process in beside] == [0, 0, 0]
        assert northbound(profile) == before
        with neutron.Conductor(deployment):
            wait_until(lambda: in_ovn(profile, port), PATIENCE_S, "the port to be in OVN")


@pytest.mark.parametrize("options", [deployed.GUNICORN, deployed.UWSGI])
def test_the_page_shows_the_options_that_are_tested(options: tuple[str, ...]) -> None:
    shown = " ".join(page.PAGE.read_text().replace("\\\n", " ").split())
    assert shlex.join(options) in shown


def test_the_page_shows_the_configuration_that_is_tested(profile: neutron.Profile) -> None:
    with neutron.Deployment(profile) as deployment:
        read = page.written(deployment.config_files("one-machine"))
    assert page.differences(page.shown("One machine"), read) == []
