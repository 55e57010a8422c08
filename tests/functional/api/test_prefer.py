# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``Prefer``: a caller waits for the backends, or takes the work as accepted."""

import concurrent.futures
import threading
import time
import typing
import urllib.parse
import uuid

import pytest
from neutron_lib.db import api as db_api

from networking_workflow.api import headers, prefer
from networking_workflow.conf import workflow as conf_workflow
from networking_workflow.model import failures, workflows
from tests.functional.api import clients, seed
from tests.waiting import wait_until

pytestmark = pytest.mark.again_on_sqlite

PATIENCE_S = 30.0


class Waiter:
    """A call that another thread makes, and waits for."""

    def __init__(
        self,
        threads: concurrent.futures.Executor,
        tenant: clients.Client,
        name: str,
        change: tuple[str, str, typing.Any] | None = None,
    ) -> None:
        self._tenant, self._name = tenant, name
        self._change = change or ("POST", "/networks", {"network": {"name": name}})
        self._answer = threads.submit(self._call)

    def after(self, end: typing.Callable[[str], None]) -> clients.Answer:
        """Return the answer once ``end`` has ended the workflow that the call opened."""
        end(self.workflow())
        return self.answer()

    def _call(self) -> clients.Answer:
        return self._tenant.call(*self._change, Prefer="wait=30")

    def workflow(self) -> str:
        """Return what the call has opened, when it has committed that."""

        def opened() -> list[str]:
            found = self._tenant.get(f"/networks?name={self._name}&fields=id")
            if not found:
                return []
            rows = self._tenant.get(f"/workflows?resource_id={found[0]['id']}&fields=id")
            return [row["id"] for row in rows]

        (workflow,) = wait_until(opened, PATIENCE_S, "the call to commit")
        return workflow

    def is_answered(self) -> bool:
        return self._answer.done()

    def answer(self) -> clients.Answer:
        return self._answer.result(PATIENCE_S)


@pytest.fixture
def threads() -> typing.Iterator[concurrent.futures.Executor]:
    with concurrent.futures.ThreadPoolExecutor(16) as executor:
        yield executor


@pytest.fixture
def tenant(neutron: clients.Neutron) -> clients.Client:
    """Return a tenant whose default group, which comes with its first call, is there."""
    tenant = neutron.tenant()
    tenant.create("network", name="first")
    return tenant


def _workflow(answer: clients.Answer) -> str:
    return answer.headers[headers.WORKFLOW_ID]


def _place(answer: clients.Answer) -> str:
    """Return what ``Location`` names, as :meth:`clients.Client.get` wants it."""
    place = urllib.parse.urlsplit(answer.headers["Location"])
    return place.path.removeprefix("/v2.0") + (f"?{place.query}" if place.query else "")


def test_who_waits_is_answered_when_the_backends_have_followed(
    threads: concurrent.futures.Executor, tenant: clients.Client, seeded: seed.Seed
) -> None:
    answer = Waiter(threads, tenant, "waits").after(seeded.succeed)
    assert (answer.status, answer.body["network"]["name"]) == (201, "waits")
    assert answer.headers["Preference-Applied"] == "wait=30"
    assert answer.headers[prefer.WAIT] == "done"
    assert tenant.get(f"/workflows/{_workflow(answer)}")["workflow_state"] == "SUCCESS"


@pytest.mark.on_sqlite
def test_who_waits_is_told_of_the_failure_and_that_the_change_is_undone(
    threads: concurrent.futures.Executor, tenant: clients.Client, seeded: seed.Seed
) -> None:
    answer = Waiter(threads, tenant, "fails").after(seeded.fail)
    code = failures.FailureCode.BACKEND_REFUSED
    assert answer.status == 502
    assert answer.headers[prefer.WAIT] == "failed"
    assert answer.body["workflow"]["id"] == _workflow(answer)
    assert answer.body["workflow"]["failure"] == {
        "code": code,
        "message": failures.TENANT_TEXT[code],
    }
    assert failures.TENANT_TEXT[code] in answer.body["NeutronError"]["message"]
    assert seed.DETAIL_SECRET not in str(answer.body)
    assert (answer.body["restored"], answer.body["not_restored_because"]) == (True, None)
    assert tenant.get("/networks?name=fails") == []
    failed = tenant.get(f"/workflows/{_workflow(answer)}")
    assert failed["workflow_state"] == "REVERTED"
    (task,) = tenant.get(f"/tasks?resource_id={failed['resource_id']}&task_state=FAILED")
    assert task["failure"]["code"] == code
    (undoing,) = answer.body["restored_by"]
    shown = tenant.get(f"/workflows/{undoing}")
    assert (shown["operation"], shown["workflow_state"]) == ("delete", "READY")
    assert shown["operation_id"] == failed["operation_id"]


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.on_sqlite
def test_what_was_changed_or_deleted_is_as_it_was_when_that_failed(
    threads: concurrent.futures.Executor, tenant: clients.Client, seeded: seed.Seed, method: str
) -> None:
    before = tenant.create("network", name=uuid.uuid4().hex)
    path = f"/networks/{before['id']}"
    body = {"network": {"name": "changed", "mtu": 1300}} if method == "PUT" else None
    answer = failing(threads, tenant, seeded, method, path, body)
    assert (answer.status, answer.body["restored"]) == (502, True)
    after = tenant.get(path)
    assert after["revision_number"] > before["revision_number"]
    moving = {"revision_number", "updated_at", "sync_updated_at"}
    assert {k: v for k, v in after.items() if k not in moving} == {
        k: v for k, v in before.items() if k not in moving
    }


def failing(
    threads: concurrent.futures.Executor,
    tenant: clients.Client,
    seeded: seed.Seed,
    method: str,
    path: str,
    body: typing.Any,
    *,
    meanwhile: typing.Callable[[], typing.Any] = lambda: None,
) -> clients.Answer:
    """Change a resource; its workflow ends as FAILED once ``meanwhile`` has been called."""
    rows = f"/workflows?resource_id={path.rpartition('/')[2]}&sort_key=created_at&sort_dir=asc"
    known = {row["id"] for row in tenant.get(rows)}
    for workflow in known:
        seeded.succeed(workflow)
    waiting = threads.submit(tenant.call, method, path, body, Prefer="wait=30")

    def opened() -> list[str]:
        return [row["id"] for row in tenant.get(rows) if row["id"] not in known]

    workflow = wait_until(opened, PATIENCE_S, "the call to commit")[0]
    meanwhile()
    seeded.fail(workflow)
    return waiting.result(PATIENCE_S)


@pytest.mark.parametrize("who", ["workflow", "somebody else"])
def test_a_later_change_of_the_same_resource_is_not_undone(
    neutron: clients.Neutron,
    threads: concurrent.futures.Executor,
    tenant: clients.Client,
    seeded: seed.Seed,
    who: str,
) -> None:
    network = tenant.create("network", name="n")
    other = neutron.admin if who == "somebody else" else tenant
    answer = failing(
        threads,
        tenant,
        seeded,
        *("PUT", f"/networks/{network['id']}", {"network": {"name": "fails"}}),
        meanwhile=lambda: other.update("network", network["id"], description="later"),
    )
    assert (answer.status, answer.body["restored"], answer.body["restored_by"]) == (502, False, [])
    assert f"was changed again by {who}" in answer.body["not_restored_because"]
    rows = neutron.admin.get(f"/workflows?resource_id={network['id']}")
    theirs = {row["id"] for row in rows if row["project_id"] != tenant.project_id}
    assert bool(theirs) is (who == "somebody else")
    assert not any(workflow in answer.body["not_restored_because"] for workflow in theirs)
    shown = tenant.get(f"/networks/{network['id']}")
    assert (shown["name"], shown["description"]) == ("fails", "later")


def test_what_others_rely_on_meanwhile_is_not_taken_away(
    threads: concurrent.futures.Executor, tenant: clients.Client, seeded: seed.Seed
) -> None:
    waiter = Waiter(threads, tenant, "relied on")
    workflow = waiter.workflow()
    (network,) = tenant.get("/networks?name=relied on")
    port = tenant.create("port", network_id=network["id"])
    seeded.fail(workflow)
    answer = waiter.answer()
    assert (answer.status, answer.body["restored"]) == (502, False)
    assert "relies on what this call made" in answer.body["not_restored_because"]
    assert tenant.get(f"/ports/{port['id']}")["network_id"] == network["id"]
    assert tenant.get(f"/workflows/{workflow}")["workflow_state"] == "FAILED"


def test_what_an_operator_ends_is_not_undone(
    neutron: clients.Neutron, threads: concurrent.futures.Executor, tenant: clients.Client
) -> None:
    waiter = Waiter(threads, tenant, "skipped")
    answer = waiter.after(lambda w: neutron.admin.call("PUT", f"/workflows/{w}/skip"))
    assert (answer.status, answer.body["restored"]) == (502, False)
    assert "operator" in answer.body["not_restored_because"]
    assert tenant.get("/networks?name=skipped")


def test_who_waits_for_what_another_workflow_takes_up_waits_for_that(
    threads: concurrent.futures.Executor, tenant: clients.Client, seeded: seed.Seed
) -> None:
    network = tenant.create("network", name="n")
    path = f"/networks/{network['id']}"
    rows = f"/workflows?resource_id={network['id']}"
    (first,) = tenant.get(rows)
    body = {"network": {"name": "m"}}
    call = threads.submit(tenant.call, "PUT", path, body, Prefer="wait=30")
    wait_until(lambda: len(tenant.get(rows)) == 2, PATIENCE_S, "the call to commit")
    seeded.succeed(first["id"])  # with what came since
    answer = call.result(PATIENCE_S)
    assert (answer.status, answer.headers[prefer.WAIT]) == (200, "done")
    shown = tenant.get(f"/workflows/{_workflow(answer)}")
    assert (shown["workflow_state"], shown["superseded_by"]) == ("SUPERSEDED", first["id"])


def test_when_the_time_is_over_the_answer_is_the_usual_one_and_says_so(
    tenant: clients.Client,
) -> None:
    body = {"network": {"name": "n"}}
    answer = tenant.call("POST", "/networks", body, Prefer="wait=0")
    assert (answer.status, answer.headers[prefer.WAIT]) == (201, "timed-out")
    assert answer.headers["Preference-Applied"] == "wait=0"
    both = tenant.call("POST", "/networks", body, Prefer="wait=0, respond-async")
    assert (both.status, both.headers[prefer.WAIT]) == (202, "timed-out")
    assert both.headers["Preference-Applied"] == "wait=0, respond-async"


@pytest.mark.parametrize("kind", ["network", "security_group"])  # by pecan, and before it
def test_who_prefers_not_to_wait_gets_the_resource_as_accepted_and_where_to_look(
    tenant: clients.Client, kind: str
) -> None:
    path = f"/{kind.replace('_', '-')}s"
    answer = tenant.call("POST", path, {kind: {"name": "n"}}, Prefer="respond-async")
    assert (answer.status, answer.body[kind]["sync_state"]) == (202, "PENDING")
    assert answer.headers["Preference-Applied"] == "respond-async"
    assert int(answer.headers["Retry-After"]) >= 1
    place = _place(answer)
    assert place == f"/workflows/{_workflow(answer)}"
    assert tenant.get(place)["resource_id"] == answer.body[kind]["id"]
    deleted = tenant.call("DELETE", f"{path}/{answer.body[kind]['id']}", Prefer="respond-async")
    assert (deleted.status, deleted.body) == (202, None)


def test_the_place_of_several_workflows_is_a_list_of_them(tenant: clients.Client) -> None:
    network = tenant.create("network", name="n")
    body = {"ports": [{"network_id": network["id"]}] * 3}
    answer = tenant.call("POST", "/ports", body, Prefer="respond-async")
    rows = tenant.get(_place(answer))
    assert sorted(row["id"] for row in rows) == sorted(_workflow(answer).split(", "))


def test_more_waiters_than_may_wait_get_the_asynchronous_answer(
    threads: concurrent.futures.Executor, tenant: clients.Client, seeded: seed.Seed
) -> None:
    most = next(o for o in conf_workflow.OPTIONS if o.name == "max_waiters").default
    waiters = [Waiter(threads, tenant, uuid.uuid4().hex) for _ in range(most + 1)]
    (refused,) = wait_until(
        lambda: [waiter for waiter in waiters if waiter.is_answered()],
        PATIENCE_S,
        "one to find every place taken",
    )
    answer = refused.answer()
    assert (answer.status, answer.headers[prefer.WAIT]) == (201, "too-many-waiters")
    assert "Preference-Applied" not in answer.headers
    while (claim := seeded.journal.claim(seed.OWNER)) is not None:
        if isinstance(claim, workflows.Claim):
            seeded.journal.succeed(claim)
    waiting = [waiter for waiter in waiters if waiter is not refused]
    assert {waiter.answer().headers[prefer.WAIT] for waiter in waiting} == {"done"}


@pytest.mark.on_sqlite
def test_who_waits_keeps_no_database_connection(
    neutron: clients.Neutron, tenant: clients.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    pools = [
        db_api.get_context_manager().writer.get_engine().pool,
        neutron.plugin.journal.engine.pool,
        neutron.plugin.journal._polling.pool,
    ]
    kept: list[int] = []

    def sleep(seconds: float, stock: typing.Callable[[float], None] = time.sleep) -> None:
        if seconds and threading.get_ident() == mine:  # oslo.db yields with 0 at each check-in
            kept.append(sum(pool.checkedout() for pool in pools))
        stock(seconds)

    mine = threading.get_ident()
    monkeypatch.setattr(prefer.time, "sleep", sleep)
    answer = tenant.call("POST", "/networks", {"network": {"name": "m"}}, Prefer="wait=1")
    assert answer.headers[prefer.WAIT] == "timed-out"
    assert len(kept) > 5
    assert set(kept) == {0}


@pytest.mark.parametrize(
    "wish", ["wait=soon", "wait=-1", "wait", "return=minimal", ",;=", "wait=1e3"]
)
def test_what_is_unknown_or_malformed_changes_nothing(tenant: clients.Client, wish: str) -> None:
    answer = tenant.call("POST", "/networks", {"network": {"name": "n"}}, Prefer=wish)
    assert answer.status == 201
    assert not {"Preference-Applied", prefer.WAIT, "Location"} & set(answer.headers)


def test_nobody_waits_for_a_call_that_was_refused_or_changed_nothing(
    tenant: clients.Client,
) -> None:
    bad = tenant.call("POST", "/networks", {"network": {"colour": "blue"}}, Prefer="wait=30")
    assert bad.status == 400
    network = tenant.create("network", name="n")
    path = f"/networks/{network['id']}"
    same = tenant.call("PUT", path, {"network": {"name": "n"}}, Prefer="wait=30")
    assert (same.status, prefer.WAIT in same.headers) == (200, False)
    assert tenant.call("GET", path, Prefer="wait=30").status == 200
