# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``Idempotency-Key``: who repeats a POST gets what the first one has made, and nothing besides."""

import collections.abc
import concurrent.futures
import copy
import datetime
import itertools
import os
import signal
import typing
import uuid

import pytest
import sqlalchemy as sa
from neutron.plugins.ml2 import plugin as ml2
from neutron_lib.callbacks import events, registry, resources
from oslo_db import exception as db_exceptions

from networking_workflow.api import headers, idempotency, prefer
from networking_workflow.journal import failpoints, tables
from tests.functional.api import clients, seed
from tests.functional.capture import inprocess
from tests.waiting import wait_until

pytestmark = pytest.mark.again_on_sqlite

BLUE = {"network": {"name": "blue"}}

PATIENCE_S = 30.0

INSERT = f"INSERT INTO {tables.idempotency_keys.name}"

Body = dict[str, typing.Any]


def post(tenant: clients.Client, key: str, body: Body = BLUE, **more: str) -> clients.Answer:
    path = f"/{next(iter(body)).removesuffix('s').replace('_', '-')}s"
    return tenant.call("POST", path, body, **{idempotency.HEADER: key}, **more)


def is_replayed(answer: clients.Answer) -> bool:
    return answer.headers.get(idempotency.REPLAYED) == "true"


def resource_id(answer: clients.Answer) -> str:
    assert answer.status == 201, answer
    found: str = next(iter(answer.body.values()))["id"]
    return found


def content(answer: clients.Answer) -> Body:
    """Return what an answer says, but when a state was last written."""
    said = copy.deepcopy(answer.body)
    (resources_,) = said.values()
    for one in resources_ if isinstance(resources_, list) else [resources_]:
        for each in (one, *one.get("security_group_rules", ())):
            del each["sync_updated_at"]
    return said


def names(tenant: clients.Client, path: str = "/networks") -> list[str]:
    return sorted(one["name"] for one in tenant.get(path))


@pytest.fixture
def key() -> str:
    return uuid.uuid4().hex


@pytest.fixture
def tenant(neutron: clients.Neutron) -> clients.Client:
    return neutron.tenant()


@pytest.fixture
def at_publish() -> collections.abc.Iterator[collections.abc.Callable[..., None]]:
    """Do something when Neutron publishes an event of a call."""
    subscribed = []

    def subscribe(do: typing.Callable[[], None], resource: str, event: str) -> None:
        def receiver(*_: typing.Any, **__: typing.Any) -> None:
            do()

        registry.subscribe(receiver, resource, event)
        subscribed.append((receiver, resource, event))

    yield subscribe
    for each in subscribed:
        registry.unsubscribe(*each)


def once(error: Exception) -> tuple[collections.abc.Callable[[], None], list[int]]:
    """Return what raises at its first call, and the list of its calls."""
    calls: list[int] = []

    def do() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise error

    return do, calls


@pytest.mark.on_sqlite
def test_who_repeats_a_call_is_answered_as_the_first_time(tenant: clients.Client, key: str) -> None:
    first = post(tenant, key)
    again = post(tenant, key)
    assert (again.status, content(again)) == (first.status, content(first))
    assert again.headers[headers.WORKFLOW_ID] in first.headers[headers.WORKFLOW_ID]
    assert (is_replayed(first), is_replayed(again)) == (False, True)
    assert names(tenant) == ["blue"]


def test_the_answer_shows_the_resource_as_it_is_now(tenant: clients.Client, key: str) -> None:
    made = resource_id(post(tenant, key))
    tenant.update("network", made, name="green")
    assert post(tenant, key).body["network"]["name"] == "green"


def test_the_order_of_a_bodys_names_means_nothing(tenant: clients.Client, key: str) -> None:
    body = {"name": "blue", "description": "x", "admin_state_up": True}
    turned = dict(reversed(body.items()))
    first = post(tenant, key, {"network": body})
    assert resource_id(post(tenant, key, {"network": turned})) == resource_id(first)


@pytest.mark.parametrize(
    "other",
    [{"network": {"name": "red"}}, {"security_group": {"name": "blue"}}, {"networks": []}],
    ids=["body", "collection", "bulk"],
)
def test_another_request_under_the_same_key_is_refused(
    tenant: clients.Client, key: str, other: Body
) -> None:
    made = resource_id(post(tenant, key))
    refused = post(tenant, key, other)
    assert (refused.status, refused.body["NeutronError"]["type"]) == (422, "IdempotencyKeyReused")
    assert headers.WORKFLOW_ID not in refused.headers
    assert resource_id(post(tenant, key)) == made


def test_another_projects_key_is_its_own(neutron: clients.Neutron, key: str) -> None:
    tenants = [neutron.tenant() for _ in range(2)]
    answers = [post(tenant, key) for tenant in tenants]
    assert len({resource_id(answer) for answer in answers}) == 2
    assert not any(map(is_replayed, answers))
    assert [names(tenant) for tenant in tenants] == [["blue"], ["blue"]]


@pytest.mark.on_sqlite
def test_of_many_at_once_one_makes_it_and_all_are_answered(
    tenant: clients.Client, key: str
) -> None:
    post(tenant, uuid.uuid4().hex, {"network": {"name": "so that the default group is there"}})
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        calls = [threads.submit(post, tenant, key) for _ in range(8)]
        answers = [call.result(PATIENCE_S) for call in calls]
    assert len({resource_id(answer) for answer in answers}) == 1
    assert sum(map(is_replayed, answers)) == 7
    assert names(tenant, "/networks?name=blue") == ["blue"]


@pytest.mark.on_sqlite
def test_who_comes_second_to_the_commit_answers_with_what_the_first_made(
    tenant: clients.Client, key: str, at_publish: collections.abc.Callable[..., None]
) -> None:
    """Both have found the key free; the second is in its transaction when the first commits."""
    first: list[clients.Answer] = []
    turns = itertools.count()

    def overtake() -> None:
        if next(turns) == 0:  # the call that overtakes comes here, too
            with concurrent.futures.ThreadPoolExecutor(1) as threads:
                first.append(threads.submit(post, tenant, key).result(PATIENCE_S))

    at_publish(overtake, resources.NETWORK, events.BEFORE_CREATE)
    with inprocess.statements() as seen:
        second = post(tenant, key)
    assert resource_id(second) == resource_id(first[0])
    assert (is_replayed(first[0]), is_replayed(second)) == (False, True)
    assert names(tenant) == ["blue"]
    assert sum("INSERT INTO networks " in each.text for each in seen) == 2  # not tried again


@pytest.mark.parametrize(
    ("where", "is_made"), [("capture.key_written", False), ("capture.committed", True)]
)
def test_who_got_no_answer_since_the_process_was_killed_repeats_the_call(
    tenant: clients.Client, key: str, where: str, is_made: bool
) -> None:
    post(tenant, uuid.uuid4().hex, {"network": {"name": "so that the default group is there"}})
    child = os.fork()
    if child == 0:
        signal.alarm(int(PATIENCE_S))
        failpoints.arm_from_environment(f"{where}=kill")
        try:
            post(tenant, key)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert names(tenant, "/networks?name=blue") == ["blue"] * is_made
    answer = post(tenant, key)
    assert (answer.status, is_replayed(answer)) == (201, is_made)
    assert names(tenant, "/networks?name=blue") == ["blue"]
    assert tenant.get("/networks?name=blue")[0]["id"] == resource_id(answer)


def test_what_has_been_deleted_since_is_not_made_again(tenant: clients.Client, key: str) -> None:
    made = resource_id(post(tenant, key))
    tenant.call("DELETE", f"/networks/{made}")
    gone = post(tenant, key)
    assert (gone.status, gone.body["NeutronError"]["type"]) == (410, "IdempotentResourceGone")
    assert made in gone.body["NeutronError"]["message"]
    assert names(tenant) == []


@pytest.mark.parametrize(("hours", "is_over"), [(23.9, False), (24.1, True)])
@pytest.mark.on_sqlite
def test_a_key_is_forgotten_after_a_day(
    neutron: clients.Neutron, tenant: clients.Client, key: str, hours: float, is_over: bool
) -> None:
    first = resource_id(post(tenant, key))
    table = tables.idempotency_keys
    own = table.c.idempotency_key == key
    with neutron.engine.begin() as connection:
        then = connection.scalar(sa.select(table.c.created_at).where(own))
        assert then is not None
        long_ago = then - datetime.timedelta(hours=hours)
        connection.execute(sa.update(table).where(own).values(created_at=long_ago))
    other = {"network": {"name": "red"}}
    second = post(tenant, key, other)
    assert second.status == (201 if is_over else 422)
    kept = resource_id(post(tenant, key, other if is_over else BLUE))
    assert kept == (resource_id(second) if is_over else first)


def test_a_call_that_fails_leaves_the_key_free(
    tenant: clients.Client, key: str, at_publish: collections.abc.Callable[..., None]
) -> None:
    fail, _ = once(RuntimeError("no"))
    at_publish(fail, resources.NETWORK, events.PRECOMMIT_CREATE)
    assert post(tenant, key).status == 500
    assert names(tenant) == []
    repeated = post(tenant, key)
    assert (repeated.status, is_replayed(repeated)) == (201, False)
    bad = post(tenant, uuid.uuid4().hex, {"network": {"colour": "blue"}})
    assert bad.status == 400


@pytest.mark.on_sqlite
def test_a_transaction_that_neutron_repeats_is_one_call(
    tenant: clients.Client, key: str, at_publish: collections.abc.Callable[..., None]
) -> None:
    fail, calls = once(db_exceptions.DBDeadlock())
    at_publish(fail, resources.NETWORK, events.PRECOMMIT_CREATE)
    first = post(tenant, key)
    assert len(calls) == 2
    assert not is_replayed(first)
    assert resource_id(post(tenant, key)) == resource_id(first)


def test_a_call_that_neutron_repeats_after_its_commit_makes_one(
    tenant: clients.Client, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the connection is lost at COMMIT: Neutron cannot know that it has succeeded."""
    fail, calls = once(db_exceptions.DBConnectionError())
    stock = ml2.Ml2Plugin._after_create_network

    def after(*args: typing.Any) -> typing.Any:
        fail()
        return stock(*args)

    monkeypatch.setattr(ml2.Ml2Plugin, "_after_create_network", after)
    answer = post(tenant, key)
    assert calls
    assert is_replayed(answer)
    assert resource_id(answer) == resource_id(post(tenant, key))
    assert names(tenant) == ["blue"]


@pytest.mark.parametrize("kind", ["network", "port", "security_group"])
def test_a_bulk_is_answered_as_the_first_time(tenant: clients.Client, key: str, kind: str) -> None:
    more = {"network_id": tenant.create("network", name="n")["id"]} if kind == "port" else {}
    body = {f"{kind}s": [{"name": name, **more} for name in ("c", "a", "b")]}
    first, again = post(tenant, key, body), post(tenant, key, body)
    assert (first.status, is_replayed(again)) == (201, True)
    assert content(again) == content(first)
    assert [one["name"] for one in again.body[f"{kind}s"]] == ["c", "a", "b"]
    shown = names(tenant, f"/{kind.replace('_', '-')}s")
    assert sorted(set(shown) - {"default"}) == ["a", "b", "c"]


def test_a_bulk_that_was_interrupted_says_what_it_has_made(
    neutron: clients.Neutron, tenant: clients.Client, key: str
) -> None:
    """Neutron makes some bulks one by one, and may be killed between two."""
    body = {"networks": [{"name": name} for name in "ab"]}
    (first, second) = (one["id"] for one in post(tenant, key, body).body["networks"])
    tenant.call("DELETE", f"/networks/{second}")
    table = tables.idempotency_keys
    with neutron.engine.begin() as connection:
        own = sa.update(table).where(table.c.idempotency_key == key)
        connection.execute(own.values(resource_ids=[first]))
    refused = post(tenant, key, body)
    error = refused.body["NeutronError"]
    assert (refused.status, error["type"]) == (409, "IdempotentCallUnfinished")
    assert f"1 of 2 resources ({first})" in error["message"]
    assert names(tenant) == ["a"]


def test_a_group_is_not_taken_for_the_projects_default_group(
    tenant: clients.Client, key: str
) -> None:
    body = {"security_group": {"name": "own"}}
    first, again = post(tenant, key, body), post(tenant, key, body)
    assert content(again) == content(first)
    assert again.body["security_group"]["name"] == "own"


def test_who_prefers_to_wait_waits_for_the_first_calls_workflow(
    tenant: clients.Client, seeded: seed.Seed, key: str
) -> None:
    post(tenant, uuid.uuid4().hex, {"network": {"name": "so that the default group is there"}})
    first = post(tenant, key)
    workflow = first.headers[headers.WORKFLOW_ID]
    accepted = post(tenant, key, Prefer="respond-async")
    assert (accepted.status, is_replayed(accepted)) == (202, True)
    assert accepted.headers["Location"].endswith(f"/workflows/{workflow}")
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(post, tenant, key, Prefer="wait=30")
        seeded.succeed(workflow)
        answer = waiting.result(PATIENCE_S)
    assert (answer.status, answer.headers[prefer.WAIT]) == (201, prefer.DONE)


@pytest.mark.parametrize("bad", ["", "   ", "k" * 256, "kéy", "a\tb"])
def test_a_key_that_is_none_is_refused(tenant: clients.Client, bad: str) -> None:
    refused = post(tenant, bad)
    assert (refused.status, refused.body["NeutronError"]["type"]) == (400, "InvalidIdempotencyKey")
    assert names(tenant) == []


def test_the_longest_key_and_one_with_blanks_are_keys(tenant: clients.Client) -> None:
    for key in ("k" * idempotency.LONGEST_KEY, '"a b, c"', "~"):
        assert resource_id(post(tenant, key)) == resource_id(post(tenant, f" {key} "))


def test_what_has_no_id_of_its_own_takes_no_key(tenant: clients.Client, key: str) -> None:
    network = tenant.create("network", name="n")
    body = {"port": {"network_id": network["id"]}}
    port = resource_id(post(tenant, key, body))
    path = f"/ports/{port}/bindings"
    refused = tenant.call("POST", path, {"binding": {"host": "h"}}, **{idempotency.HEADER: key})
    assert refused.status == 400
    assert refused.body["NeutronError"]["type"] == "IdempotencyKeyNotSupported"


def test_other_methods_and_calls_without_a_key_know_nothing_of_it(
    tenant: clients.Client, key: str
) -> None:
    def of_keys(seen: list[inprocess.Statement]) -> list[str]:
        return [each.text for each in seen if tables.idempotency_keys.name in each.text]

    with inprocess.statements() as seen:
        network = tenant.create("network", name="n")
        path = f"/networks/{network['id']}"
        header = {idempotency.HEADER: key}
        for name in "ab":
            assert tenant.call("PUT", path, {"network": {"name": name}}, **header).status == 200
        assert tenant.call("DELETE", path, **header).status == 204
    assert of_keys(seen) == []
    with inprocess.statements() as seen:
        post(tenant, key)
    assert len(of_keys(seen)) == 1


@pytest.mark.on_sqlite
def test_who_waits_for_another_call_holds_no_key_of_a_workflow(
    tenant: clients.Client, key: str
) -> None:
    with inprocess.statements() as seen:
        post(tenant, key)
    (own,) = (number for number, each in enumerate(seen) if INSERT in each.text)
    after = [each.text for each in seen[own:] if each.connection == seen[own].connection]
    own_end = after.index("COMMIT")
    assert any("INSERT INTO workflow_keys" in text for text in after[:own_end])
    before = [each.text for each in seen[:own] if each.connection == seen[own].connection]
    begun = before[::-1].index("COMMIT") if "COMMIT" in before else len(before)
    assert not any("workflow_keys" in text for text in before[len(before) - begun :])


@pytest.mark.on_sqlite
def test_a_call_that_failed_for_who_waits_is_undone_with_its_key(
    tenant: clients.Client, seeded: seed.Seed, key: str
) -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(post, tenant, key, Prefer="wait=30")
        found = wait_until(
            lambda: tenant.get("/workflows?resource_type=network"), PATIENCE_S, "the commit"
        )
        seeded.fail(found[0]["id"])
        failed = waiting.result(PATIENCE_S)
    assert (failed.status, failed.body["restored"]) == (502, True)
    anew = post(tenant, key)
    assert not is_replayed(anew)
    assert resource_id(anew) != failed.body["workflow"]["resource_id"]


def test_a_repetition_that_waits_is_told_of_the_failure_and_undoes_nothing(
    tenant: clients.Client, seeded: seed.Seed, key: str
) -> None:
    made = resource_id(post(tenant, key))
    (workflow,) = tenant.get(f"/workflows?resource_id={made}")
    seeded.fail(workflow["id"])
    again = post(tenant, key, Prefer="wait=30")
    assert (again.status, again.body["restored"]) == (502, False)
    assert tenant.status("GET", f"/networks/{made}") == 200
