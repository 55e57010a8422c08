# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The database server goes away under load and comes back, or is there and does not answer."""

import collections.abc
import functools
import threading

import pytest
import requests

from lab import client, databases
from lab.databases import pool
from lab.neutron import schema
from networking_workflow.conductor import loop, settings
from networking_workflow.journal import engine as journal_engine
from networking_workflow.journal import journal
from networking_workflow.plan import keys
from tests.functional.conductor.cloud import Cloud, create_tables
from tests.functional.promises import cloud as clouds
from tests.unit.conductor.drivers import MemoryDriver
from tests.waiting import wait_until


@pytest.fixture
def database() -> collections.abc.Iterator[pool.Database]:
    """A database on a server that no other test uses."""
    with databases.MariaDB() as server:
        urls = tuple(server.create_database("neutron"))
        made = pool.Database(kind="mariadb", name="neutron", urls=urls, server=server)
        schema.create(made)
        yield made


def test_database_server_restarted_under_load(database: pool.Database) -> None:
    """Once shut down in order and once killed; calls meanwhile may fail, but nothing is lost."""
    with clouds.running(database) as cloud:
        cloud.add_api()
        network = cloud.client().create("networks", name="busy")
        answered: dict[str, str] = {}  #: port -> the name that the API promised last
        ended: list[int] = []

        def change(lane: int) -> None:
            tenant = cloud.client()
            turn = 0
            while not ended:
                turn += 1
                name = f"{lane}-{turn}"
                try:
                    port = tenant.create("ports", network_id=network["id"], name=name)
                    answered[port["id"]] = name
                    tenant.update("ports", port["id"], name=f"{name}-renamed")
                    answered[port["id"]] = f"{name}-renamed"
                except (client.CallFailed, requests.RequestException):
                    pass  # without a database there is no promise

        def restart() -> None:
            server = database.server
            try:
                for away in (server.stop, server.kill):
                    before = len(answered)
                    wait_until(
                        lambda before=before: len(answered) >= before + 5,
                        clouds.PATIENCE_S,
                        "ports to be made",
                    )
                    away()
                    server.start()
            finally:
                ended.append(1)

        clouds.at_once(*(functools.partial(change, lane) for lane in range(3)), restart)
        cloud.settles()
        assert cloud.failed() == []
        assert cloud.differences_from_fabric() == []
        names = {port["id"]: port["name"] for port in cloud.client().list("ports")}
        # An update that got no answer may have been committed all the same.
        assert answered.keys() <= names.keys()
        assert {
            port: (name, names[port])
            for port, name in answered.items()
            if names[port] not in (name, f"{name}-renamed")
        } == {}


def test_a_database_server_that_hangs_does_not_hang_a_conductor_for_ever() -> None:
    with databases.MariaDB() as server:
        (url,) = server.create_database("neutron")
        cloud = Cloud(url)
        create_tables(cloud.engine)
        impatient = journal_engine.make_engine(f"{url}&read_timeout=2")
        conductor = loop.Conductor(
            journal.Journal(impatient),
            [MemoryDriver()],
            settings.ConductorSettings(workers=2, poll_s=3600.0, chores_s=3600.0, drain_s=60.0),
            keys.keys_for,
        )
        conductor.start()
        workflow = cloud.network()
        conductor.hint([workflow])
        cloud.comes_to(workflow, "SUCCESS")
        wait_until(lambda: conductor.idle == 2, clouds.PATIENCE_S, "both workers to be idle")
        process = server.node.process
        assert process is not None
        process.pause()
        try:
            conductor.hint(["anything"])
            wait_until(lambda: conductor.idle == 1, clouds.PATIENCE_S, "one to look for work")
            stopping = threading.Thread(target=conductor.stop)
            stopping.start()
            stopping.join(30)
            assert not stopping.is_alive()
        finally:
            process.resume()
            conductor.stop()
            impatient.dispose()
            cloud.close()
