# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Transactions: what is rolled back, retried, nested or opened beside another leaves its due."""

import re
import threading
import uuid

import pytest
import sqlalchemy as sa
from neutron.db import models_v2
from neutron.plugins.ml2 import managers
from neutron_lib import context as neutron_context
from neutron_lib.db import api as db_api
from oslo_db import exception as db_exceptions
from sqlalchemy import orm

from networking_workflow.capture import calls, looking, schema
from networking_workflow.capture import session as capture_session
from networking_workflow.journal import tables
from networking_workflow.model import errors, running, states, workflows
from tests.functional.capture import inprocess

pytestmark = pytest.mark.on_sqlite


@pytest.fixture
def network(neutron):
    return neutron.create("network", name="before")


def rename(context, network, name):
    row = context.session.get(models_v2.Network, network["id"])
    row.name = name


class Broken(Exception):
    """What a test raises to roll a transaction back."""


def fail_once(monkeypatch, error):
    """Make the drivers' precommit of a port's create fail at its first call."""
    calls = []
    original = managers.MechanismManager.create_port_precommit

    def precommit(self, context):
        original(self, context)
        calls.append(context.current["id"])
        if len(calls) == 1:
            raise error

    monkeypatch.setattr(managers.MechanismManager, "create_port_precommit", precommit)
    return calls


def fail_at_commit_once(request, error):
    """Make the first commit fail after the journal's rows were written."""
    failed = []

    def before_commit(session):
        current = session.info.get(capture_session._INFO)
        if current is not None and current.recorded and not failed:
            failed.append(True)
            raise error

    sa.event.listen(orm.Session, "before_commit", before_commit)
    request.addfinalizer(lambda: sa.event.remove(orm.Session, "before_commit", before_commit))
    return failed


def test_rolled_back_call_leaves_no_workflow(neutron, network, monkeypatch):
    fail_once(monkeypatch, Broken("no"))
    with neutron.capturing() as found:
        neutron.call(
            "POST",
            "ports",
            {"port": {"network_id": network["id"], "project_id": inprocess.PROJECT}},
            status=500,
        )
    assert found == []


@pytest.mark.parametrize(
    "error",
    [db_exceptions.DBDeadlock(), db_exceptions.RetryRequest(Broken("again"))],
    ids=lambda error: type(error).__name__,
)
def test_retried_call_leaves_one_workflow(neutron, network, monkeypatch, error):
    neutron.create("port", network_id=network["id"])  # the project's default group, too
    calls = fail_once(monkeypatch, error)
    with neutron.capturing() as found:
        port = neutron.create("port", network_id=network["id"])
    assert len(calls) == 2
    assert [(one.what, one.resource_id) for one in found] == [(("create", "port"), port["id"])]


def test_deadlock_of_the_commit_itself_leaves_one_workflow_and_one_announcement(
    neutron, network, request
):
    neutron.create("port", network_id=network["id"])
    failed = fail_at_commit_once(request, db_exceptions.DBDeadlock())
    with neutron.capturing() as found, calls.committed_ids() as ids:
        port = neutron.create("port", network_id=network["id"])
    assert failed
    assert [one.resource_id for one in found] == [port["id"]]
    assert ids == [one.row.id for one in found]


def test_savepoint_rolled_back_is_forgotten_and_released_is_kept(neutron):
    kept, dropped, after = (neutron.create("network", name=name) for name in "kda")
    context = neutron.context()
    with neutron.capturing() as found, db_api.CONTEXT_WRITER.using(context):
        with context.session.begin_nested():
            rename(context, kept, "kept")
        savepoint = context.session.begin_nested()
        rename(context, dropped, "dropped")
        context.session.flush()
        savepoint.rollback()
        rename(context, after, "after")
    assert {one.resource_id for one in found} == {kept["id"], after["id"]}
    assert neutron.show("network", dropped["id"])["name"] == "d"


def test_savepoint_inside_a_rolled_back_savepoint_goes_with_it(neutron, network):
    context = neutron.context()
    with neutron.capturing() as found, db_api.CONTEXT_WRITER.using(context):
        outer = context.session.begin_nested()
        with context.session.begin_nested():
            rename(context, network, "inner")
        outer.rollback()
    assert found == []


def test_elevated_context_joins_the_transaction(neutron):
    first, second = (neutron.create("network", name=name) for name in "ab")
    context = neutron.context()

    def rename_both():
        with db_api.CONTEXT_WRITER.using(context):
            rename(context, first, "x")
            elevated = context.elevated()
            with db_api.CONTEXT_WRITER.using(elevated):
                rename(elevated, second, "y")
            yield

    with neutron.capturing() as found, pytest.raises(Broken):
        halfway = rename_both()
        next(halfway)
        halfway.throw(Broken)
    assert found == []
    with neutron.capturing() as found:
        list(rename_both())
    assert {one.resource_id for one in found} == {first["id"], second["id"]}
    assert {one.row.operation_id for one in found} == {context.request_id}


def test_admin_context_in_the_middle_commits_by_itself(neutron):
    first, second = (neutron.create("network", name=name) for name in "ab")
    context, admin = neutron.context(), neutron_context.get_admin_context()

    def rename_both():
        with db_api.CONTEXT_WRITER.using(context):
            with db_api.CONTEXT_WRITER.using(admin):
                rename(admin, second, "y")
            rename(context, first, "x")
            raise Broken

    with neutron.capturing() as found, pytest.raises(Broken):
        rename_both()
    assert [one.resource_id for one in found] == [second["id"]]
    assert found[0].row.operation_id == admin.request_id
    assert found[0].row.project_id == inprocess.PROJECT  # the row's: this context has none


def test_several_flushes_of_one_transaction_are_one_workflow(neutron, network):
    context = neutron.context()
    with neutron.capturing() as found, db_api.CONTEXT_WRITER.using(context):
        for name in ("one", "two", "three"):
            rename(context, network, name)
            context.session.flush()
    assert len(found) == 1


def test_made_and_deleted_in_one_transaction_is_nothing(neutron):
    context = neutron.context()
    with neutron.capturing() as found, db_api.CONTEXT_WRITER.using(context):
        row = models_v2.Network(id=str(uuid.uuid4()), name="x", project_id="p", mtu=1400)
        context.session.add(row)
        context.session.flush()
        context.session.delete(row)
    assert found == []


def test_workflows_of_one_bulk_call_stand_in_one_transaction(neutron, network):
    with neutron.capturing() as found, inprocess.statements() as seen:
        ports = neutron.create_bulk("port", [{"network_id": network["id"]} for _ in range(5)])
    created = [one for one in found if one.what == ("create", "port")]
    assert {one.resource_id for one in created} == {port["id"] for port in ports}
    inserts = [one for one in seen if one.text.startswith("INSERT INTO workflow_workflows")]
    assert len(inserts) == 1 + len([one for one in found if one.what != ("create", "port")])


def is_journals(statement):
    """Whether capture sent it; Neutron's own reads look sync_state up once the API is loaded."""
    tables = set(re.findall(r"(?:FROM|INTO|UPDATE|JOIN) (workflow_\w+)", statement))
    return bool(tables) and (not statement.startswith("SELECT") or tables != {_SYNC})


_SYNC = "workflow_resource_sync"


@pytest.mark.parametrize("change", ["create", "update", "delete"])
def test_journal_rows_are_the_last_statements_before_commit(neutron, network, change):
    port = neutron.create("port", network_id=network["id"])
    with inprocess.statements() as seen:
        if change == "create":
            neutron.create("port", network_id=network["id"])
        elif change == "update":
            neutron.update("port", port["id"], name="x")
        else:
            neutron.delete("port", port["id"])
    first = next(i for i, one in enumerate(seen) if "workflow_keys" in one.text)
    mine = [one.text for one in seen[first:] if one.connection == seen[first].connection]
    journal = mine[: mine.index("COMMIT")]
    assert journal and all("workflow_" in text for text in journal)
    assert not any(map(is_journals, mine[mine.index("COMMIT") :]))


def test_statements_of_one_update_do_not_grow_with_the_number_of_resources(neutron):
    networks = [neutron.create("network", name=str(number)) for number in range(6)]

    def count(chosen):
        context = neutron.context()
        with inprocess.statements() as seen, db_api.CONTEXT_WRITER.using(context):
            for network in chosen:
                rename(context, network, uuid.uuid4().hex)
            context.session.flush()
            before = len(seen)
        return len(seen) - before

    assert count(networks[:1]) == count(networks)


def test_hooks_hear_of_committed_workflows_only(neutron, network):
    heard = []
    calls.AFTER_COMMIT.append(heard.append)
    context = neutron.context()
    try:
        with pytest.raises(Broken), db_api.CONTEXT_WRITER.using(context):
            rename(context, network, "x")
            context.session.flush()
            raise Broken
        assert heard == []
        with neutron.capturing() as found:
            neutron.update("network", network["id"], name="y")
    finally:
        calls.AFTER_COMMIT.remove(heard.append)
    assert heard == [[found[0].row.id]]


def test_reading_records_nothing_and_sends_nothing_more(neutron, network):
    neutron.create("port", network_id=network["id"])
    with neutron.capturing() as found, inprocess.statements() as seen:
        for kind in ("network", "port", "subnet", "security_group"):
            neutron.call("GET", inprocess._path(kind))
    assert found == []
    assert not [one for one in seen if is_journals(one.text)]


def test_bulk_statement_on_a_captured_table_raises_the_alarm(neutron, network, caplog):
    context = neutron.context()
    capture = capture_session.install(capture_session.CaptureSettings(bulk_raises=True))
    try:
        with (
            pytest.raises(capture_session.UncapturedChange, match="networks"),
            db_api.CONTEXT_WRITER.using(context),
        ):
            context.session.query(models_v2.Network).filter_by(id=network["id"]).update(
                {"name": "x"}
            )
    finally:
        capture.settings = capture_session.CaptureSettings()
    assert "networks" in caplog.text


@pytest.fixture
def task(neutron):
    """A workflow that a conductor works on, and the task on this thread's stack."""
    with neutron.capturing() as found:
        neutron.create("network", name="parent")
    parent = next(one for one in found if one.resource_type == "network").row
    with neutron.engine.begin() as connection:
        connection.execute(
            sa.update(tables.workflows)
            .where(tables.workflows.c.id == parent.id)
            .values(state="RUNNING", owner="me", fence=3, operation_id="req-parent")
        )
    claim = workflows.Claim(
        id=parent.id,
        lane=parent.lane,
        resource_type=parent.resource_type,
        resource_id=parent.resource_id,
        operation=states.Operation(parent.operation),
        project_id="the-tenant",
        operation_id="req-parent",
        request_id=parent.request_id,
        initiator=states.Initiator.API,
        snapshot=None,
        keys={},
        gen=parent.gen,
        attempts=0,
        owner="me",
        fence=3,
    )
    token = running.RUNNING.set(running.RunningTask(claim=claim, task_id="t", task_name="ovn"))
    yield claim
    running.RUNNING.reset(token)


def take_over(neutron, claim):
    with neutron.engine.begin() as connection:
        connection.execute(
            sa.update(tables.workflows)
            .where(tables.workflows.c.id == claim.id)
            .values(fence=claim.fence + 1)
        )


def test_what_a_driver_writes_is_a_child_of_its_operation(neutron, task):
    with neutron.capturing() as found:
        neutron.create("network", name="child")
    child = next(one for one in found if one.resource_type == "network").row
    assert child.initiator == "driver"
    assert child.operation_id == "req-parent"
    assert child.project_id == "the-tenant"


def test_task_that_lost_its_lease_cannot_change_the_database(neutron, task):
    take_over(neutron, task)
    with neutron.capturing() as found:
        context = neutron.context()
        with pytest.raises(errors.LeaseLost), db_api.CONTEXT_WRITER.using(context):
            rename(context, {"id": task.resource_id}, "too late")
    assert found == []
    assert neutron.show("network", task.resource_id)["name"] == "parent"


def test_fence_is_written_for_changes_that_are_no_workflow_too(neutron, task):
    neutron.plugin.update_network(
        neutron.context(), task.resource_id, {"network": {"name": "parent"}}
    )
    take_over(neutron, task)
    with pytest.raises(errors.LeaseLost):
        neutron.plugin.update_network(
            neutron.context(), task.resource_id, {"network": {"name": "parent"}}
        )


def test_task_that_lost_its_lease_can_still_read(neutron, task):
    take_over(neutron, task)
    assert neutron.show("network", task.resource_id)["name"] == "parent"


@pytest.fixture
def only_looking(task):
    """The same task, in the mode ``shadow``."""
    capture = capture_session.install(capture_session.CaptureSettings(tasks_write=False))
    yield task
    capture.settings = capture_session.CaptureSettings()


WRITES = {
    "an object": lambda session, network: setattr(
        session.get(models_v2.Network, network), "name", "written"
    ),
    "a new object": lambda session, network: session.add(
        models_v2.Network(name="written", project_id="the-tenant")
    ),
    "a bulk statement": lambda session, network: (
        session.query(models_v2.Network).filter_by(id=network).delete()
    ),
    "a statement on a table that is no workflow's": lambda session, network: session.execute(
        sa.insert(schema.tables()["ovn_hash_ring"]).values(
            node_uuid="n", group_name="g", hostname="h"
        )
    ),
}


@pytest.mark.parametrize("name", WRITES)
def test_a_task_that_only_looks_cannot_change_the_database(neutron, only_looking, name):
    context = neutron.context()
    with neutron.capturing() as found:
        with pytest.raises(looking.Written) as refused, db_api.CONTEXT_WRITER.using(context):
            WRITES[name](context.session, only_looking.resource_id)
        assert neutron.show("network", only_looking.resource_id)["name"] == "parent"
    assert found == []
    assert f"table {refused.value.table} of Neutron's" in refused.value.detail
    with neutron.engine.connect() as connection:
        ring = schema.tables()["ovn_hash_ring"]
        assert connection.execute(sa.select(ring)).all() == []


def test_a_task_that_only_looks_may_open_a_transaction_that_writes_nothing(neutron, only_looking):
    context = neutron.context()
    with db_api.CONTEXT_WRITER.using(context):
        assert neutron.plugin.get_network(context, only_looking.resource_id)["name"] == "parent"


def test_while_tasks_only_look_calls_of_the_api_go_on(neutron, network):
    capture = capture_session.install(capture_session.CaptureSettings(tasks_write=False))
    try:
        assert neutron.update("network", network["id"], name="new")["name"] == "new"
    finally:
        capture.settings = capture_session.CaptureSettings()


def test_other_threads_are_not_part_of_the_task(neutron, task):
    take_over(neutron, task)
    failures = []

    def update():
        try:
            neutron.update("network", task.resource_id, name="from another thread")
        except (AssertionError, errors.WorkflowError) as error:
            failures.append(error)

    with neutron.capturing() as found:
        thread = threading.Thread(target=update)
        thread.start()
        thread.join()
    assert failures == []
    assert [one.row.initiator for one in found] == ["api"]
