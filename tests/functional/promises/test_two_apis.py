# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Two API processes, each with a conductor embedded, change the same things."""

import collections.abc
import functools
import random

import pytest

from lab.client import PROJECT_ID, Answer
from lab.databases import pool
from lab.neutron import schema
from networking_workflow.api import idempotency
from tests.functional.promises import cloud as clouds

PORTS, UPDATES = 20, 200


@pytest.fixture(scope="module")
def database(database_pool: pool.Pool) -> collections.abc.Iterator[pool.Database]:
    with schema.installed(database_pool, "mariadb") as lent:
        yield lent


@pytest.fixture(scope="module")
def cloud(database: pool.Database) -> collections.abc.Iterator[clouds.Cloud]:
    with clouds.running(database) as running:
        running.add_api()
        running.add_api()
        yield running


def test_interleaved_updates_reach_the_backend_in_the_order_of_their_commits(
    cloud: clouds.Cloud,
) -> None:
    network = cloud.client().create("networks", name="shared-by-all")
    ports = [
        cloud.client().create("ports", network_id=network["id"], name="new")["id"]
        for _ in range(PORTS)
    ]
    cloud.settles()
    seen = cloud.fabric.store.record()[-1]["seq"]
    wanted = [(port, f"name-{number}") for number in range(UPDATES // PORTS) for port in ports]
    random.shuffle(wanted)
    #: port -> {revision: name}; Neutron counts a resource's revisions in commit order
    committed: dict[str, dict[int, str]] = {port: {} for port in ports}

    def update(api: int, share: list[tuple[str, str]]) -> None:
        tenant = cloud.client(api)
        for port, name in share:
            said = tenant.update("ports", port, name=name)
            committed[port][said["revision_number"]] = name

    with cloud.fabric_behaving(latency_s=0.02):  # so that some wait, and are folded
        clouds.at_once(*(functools.partial(update, each % 2, wanted[each::4]) for each in range(4)))
        cloud.settles()
    assert cloud.differences_from_fabric() == []
    for port in ports:
        changes = [name for _, name in sorted(committed[port].items())]
        assert len(changes) == UPDATES // PORTS
        effects = [
            entry["body"]["name"]
            for entry in cloud.fabric.store.record(since=seen)
            if entry["id"] == port and entry["changed"]
        ]
        assert is_subsequence(effects, changes)
        assert effects[-1] == changes[-1]


def test_of_calls_with_one_key_at_both_processes_one_makes_the_network(
    cloud: clouds.Cloud,
) -> None:
    body = {"network": {"name": "once", "project_id": PROJECT_ID}}
    answers: list[Answer] = []

    def post(api: int) -> None:
        key = {idempotency.HEADER: "once"}
        answers.append(cloud.client(api).call("POST", "/networks", body, headers=key))

    clouds.at_once(*(functools.partial(post, each % 2) for each in range(8)))
    (network,) = cloud.client().list("networks", name="once")
    assert {answer.status for answer in answers} == {201}
    assert {answer.body["network"]["id"] for answer in answers} == {network["id"]}
    assert sum(idempotency.REPLAYED in answer.headers for answer in answers) == 7


def is_subsequence(part: list[str], whole: list[str]) -> bool:
    left = iter(whole)
    return all(one in left for one in part)
