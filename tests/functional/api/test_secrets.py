# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A driver tells all it knows in its exceptions: tenants read nothing of it, logs no credential."""

import collections.abc
import contextlib
import json
import logging
import typing

import pytest
import requests
import sqlalchemy as sa
from neutron.plugins.ml2.common import exceptions as ml2_exceptions
from neutron_lib.plugins.ml2 import api

from networking_workflow.api import tasks as api_tasks
from networking_workflow.api import workflows as api_workflows
from networking_workflow.capture import calls
from networking_workflow.conductor import loop, settings
from networking_workflow.drivers import ml2
from networking_workflow.journal import engine as journal_engine
from networking_workflow.journal import journal, tables
from networking_workflow.model import errors, failures, retry
from networking_workflow.plan import keys
from tests.functional.api import clients, seed
from tests.waiting import wait_until

PATIENCE_S = 30.0

#: What nobody reads, and what administrators read of an error.
CREDENTIALS = ("planted-password", "planted-token")
CAUSES = ("leaf-planted.example", "10.98.76.54", "/etc/planted.conf")
WORDS = (
    f"PUT https://svc:{CREDENTIALS[0]}@{CAUSES[0]}:8443/v1/port ({CAUSES[1]}) with Authorization: "
    f"Bearer {CREDENTIALS[1]}, as {CAUSES[2]} has it"
)

#: What is in a traceback, and whose words and names are a driver's own.
TRACES = ("Traceback", "test_secrets.py", "PlantedError", "SpeechlessError", "HTTPError", "leaky.")

#: What a resource has that no workflow and no task repeats.
ATTRIBUTES = {"description": "planted-description", "device_id": "planted-device"}


class PlantedError(Exception):
    """A class that only the driver knows."""


class SpeechlessError(Exception):
    def __str__(self) -> str:
        raise ValueError(WORDS)


def _chained() -> None:
    try:
        raise KeyError(WORDS)
    except KeyError as error:
        raise PlantedError(WORDS) from error


def _several() -> Exception:
    return ml2_exceptions.MechanismDriverError(
        method="create_port_postcommit", errors=[PlantedError(WORDS), SpeechlessError()]
    )


#: Name of a port -> how the driver fails on it.
FAILURES: dict[str, BaseException] = {
    "speechless": SpeechlessError(),
    "refused": errors.PermanentFailure(WORDS),
    "several": _several(),
    "unexpected status": requests.HTTPError(WORDS),
    "exit": SystemExit(WORDS),
}
AWAY = "away"


class Leaky(api.MechanismDriver):
    """An unmodified mechanism driver that fails in its own way on ports of some names."""

    away = False

    def initialize(self) -> None:
        """Nothing to do."""

    def create_port_postcommit(self, context: typing.Any) -> None:
        name = context.current["name"]
        if name == "chained":
            _chained()
        if name in FAILURES:
            raise FAILURES[name]
        if name == AWAY:
            self.probe()

    def probe(self) -> None:
        if self.away:
            raise requests.ConnectionError(WORDS)


@pytest.fixture
def driver(neutron: clients.Neutron) -> collections.abc.Iterator[Leaky]:
    """The driver, called by a conductor beside the API, in the same process."""
    leaky = Leaky()
    engine = journal_engine.make_engine(neutron.database.url)
    conductor = loop.Conductor(
        journal.Journal(engine),
        [ml2.Ml2Driver("leaky", leaky, neutron.plugin)],
        settings.ConductorSettings(
            workers=2,
            poll_s=0.1,
            chores_s=0.2,
            probe_s=0.05,
            retry=retry.RetryPolicy(attempts=2, first_delay_s=0.01, max_delay_s=60.0),
        ),
        keys.keys_for,
    )
    conductor.start()
    calls.AFTER_COMMIT.append(conductor.hint)
    yield leaky
    calls.AFTER_COMMIT.remove(conductor.hint)
    conductor.stop()
    engine.dispose()


def _readable(tenant: clients.Client) -> collections.abc.Iterator[str]:
    """Yield every answer, with its headers, that a tenant gets of its resources and their work."""
    paths = ["/ports", "/networks"]
    for collection in ("workflows", "tasks"):
        paths += [f"/{collection}", f"/{collection}/{tenant.get(f'/{collection}')[0]['id']}"]
        paths.append(f"/{collection}?fields=id&fields=failure_detail&fields=host&fields=snapshot")
        for refused in ("failure_detail=x", "host=x", "sort_key=failure_detail&sort_dir=asc"):
            paths.append(f"/{collection}?{refused}")
    for path in paths:
        yield _whole(tenant.call("GET", path))
    (workflow, *_) = tenant.get("/workflows?workflow_state=FAILED&workflow_state=RETRYING")
    yield _whole(tenant.call("PUT", f"/workflows/{workflow['id']}/retry"))


def _whole(answer: clients.Answer) -> str:
    return f"{dict(answer.headers)} {json.dumps(answer.body)}"


def _reads_nothing_planted(tenant: clients.Client, *more: str) -> None:
    for said in (*more, *_readable(tenant)):
        for secret in (*CREDENTIALS, *CAUSES, *TRACES):
            assert secret not in said


def test_a_tenant_reads_nothing_of_a_drivers_exception_and_an_administrator_no_credential(
    neutron: clients.Neutron, driver: Leaky, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    tenant = neutron.tenant()
    network = tenant.create("network", name="planted-name")
    answers = []
    for how in ("chained", *FAILURES):
        body = {"port": {"network_id": network["id"], "name": how, **ATTRIBUTES}}
        answer = tenant.call("POST", "/ports", body, Prefer="wait=30")
        assert answer.status == 502, answer
        answers.append(_whole(answer))
        kept = tenant.call("POST", "/ports", body).body["port"]["id"]
        wait_until(
            lambda kept=kept: tenant.get(f"/ports/{kept}")["sync_state"] == "ERROR",
            PATIENCE_S,
            "the last attempt to fail",
        )
    _reads_nothing_planted(tenant, *answers)
    tasks = {task["resource_id"]: task for task in tenant.get("/tasks")}
    ports = tenant.get("/ports")
    assert len(ports) == 1 + len(FAILURES)
    for port in ports:
        task = tasks[port["id"]]
        code = failures.FailureCode(task["failure"]["code"])
        assert port["sync_error"] == task["failure"]["message"] == failures.TENANT_TEXT[code]
        shown = neutron.admin.get(f"/tasks/{task['id']}")["failure_detail"]
        assert all(cause in shown for cause in CAUSES) or port["name"] == "speechless", shown
        assert not any(secret in shown for secret in CREDENTIALS), shown
    assert WORDS.partition("//")[0] in caplog.text
    assert not any(secret in caplog.text for secret in CREDENTIALS)
    for client in (tenant, neutron.admin):
        for path in ("/workflows", "/tasks"):
            said = json.dumps(client.get_whole(f"{path}?project_id={tenant.project_id}"))
            assert not any(secret in said for secret in ("planted-name", *ATTRIBUTES.values()))


def test_a_tenant_reads_nothing_of_a_backend_that_cannot_be_reached(
    neutron: clients.Neutron, driver: Leaky, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    tenant = neutron.tenant()
    network = tenant.create("network", name="n")
    driver.away = True
    with contextlib.ExitStack() as stack:
        stack.callback(setattr, driver, "away", False)
        port = tenant.create("port", network_id=network["id"], name=AWAY)["id"]
        wait_until(
            lambda: tenant.get(f"/ports/{port}")["sync_error"], PATIENCE_S, "the outage to be seen"
        )
        _reads_nothing_planted(tenant)
        (workflow,) = neutron.admin.get(f"/workflows?resource_id={port}")
    assert all(cause in workflow["failure_detail"] for cause in CAUSES)
    assert not any(secret in workflow["failure_detail"] for secret in CREDENTIALS)
    assert not any(secret in caplog.text for secret in CREDENTIALS)


@pytest.mark.parametrize(
    ("table", "attributes"),
    [
        (tables.workflows, api_workflows.ATTRIBUTES),
        (tables.tasks, api_tasks.ATTRIBUTES),
    ],
    ids=["workflows", "tasks"],
)
def test_what_the_journal_keeps_to_itself_is_not_shown_filtered_or_sorted_by(
    neutron: clients.Neutron,
    seeded: seed.Seed,
    table: sa.Table,
    attributes: dict[str, typing.Any],
) -> None:
    tenant = neutron.tenant()
    workflow = seeded.record(tenant.project_id)
    seeded.fail(workflow)
    collection = table.name.removeprefix("workflow_")
    own = [column.name for column in table.columns if column.name not in attributes]
    is_workflows = table is tables.workflows
    assert set(own) >= (
        {"snapshot", "held_keys", "owner", "fence"} if is_workflows else {"position"}
    )
    admins_only = ["failure_detail", "host"]
    for client in (tenant, neutron.admin):
        of_mine = f"/{collection}?project_id={tenant.project_id}"
        for name in [*own, *admins_only]:
            assert client.status("GET", f"{of_mine}&{name}=x") == 400, name
            assert client.status("GET", f"{of_mine}&sort_key={name}&sort_dir=asc") == 400, name
        asked = "".join(f"&fields={name}" for name in own)
        (row,) = client.get(of_mine + asked)
        assert set(row) <= {"project_id", "tenant_id"}
