# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Two API processes whose calls take the same keys crosswise."""

import collections.abc
import functools
import typing

import pytest

from lab import databases
from lab.databases import pool
from lab.neutron import schema
from tests.functional.promises import cloud as clouds

ROUNDS = 4


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


def test_calls_that_take_the_same_keys_crosswise_do_not_deadlock(
    cloud: clouds.Cloud, database: pool.Database
) -> None:
    """Bulk calls name networks in either order, while others change these networks and groups."""
    assert isinstance(database.server, databases.MariaDB)
    node = database.server.node
    admin = cloud.client()
    first, second = (admin.create("networks", name=f"cross-{one}") for one in "ab")
    groups = [admin.create("security-groups", name=f"cross-{one}") for one in "ab"]
    node.query("SET GLOBAL innodb_print_all_deadlocks = 1")
    before = len(node.log.read_text(errors="replace"))

    def subnets(api: int, lane: int, networks: list[clouds.Json]) -> None:
        tenant = cloud.client(api)
        for turn in range(ROUNDS):
            bodies = [
                {
                    "network_id": network["id"],
                    "project_id": tenant.project_id,
                    "ip_version": 4,
                    "cidr": f"10.{lane}.{2 * turn + place}.0/24",
                }
                for place, network in enumerate(networks)
            ]
            answer = tenant.call("POST", "/subnets", {"subnets": bodies})
            assert answer.status == 201, answer.error

    def ports(api: int, networks: list[clouds.Json]) -> None:
        tenant = cloud.client(api)
        for _ in range(ROUNDS):
            bodies = [
                {"network_id": network["id"], "project_id": tenant.project_id}
                for network in networks
            ]
            answer = tenant.call("POST", "/ports", {"ports": bodies})
            assert answer.status == 201, answer.error

    def rename(api: int, network: clouds.Json, ours: clouds.Json, other: clouds.Json) -> None:
        tenant = cloud.client(api)
        for turn in range(ROUNDS):
            tenant.update("networks", network["id"], name=f"turn-{turn}")
            tenant.update("security-groups", ours["id"], name=f"turn-{turn}")
            tenant.create(
                "security-group-rules",
                **rule(other, turn + api * ROUNDS, remote_group_id=ours["id"]),
            )

    clouds.at_once(
        functools.partial(subnets, 0, 1, [first, second]),
        functools.partial(subnets, 1, 2, [second, first]),
        functools.partial(ports, 0, [first, second]),
        functools.partial(ports, 1, [second, first]),
        functools.partial(rename, 0, first, *groups),
        functools.partial(rename, 1, second, *reversed(groups)),
    )
    cloud.settles()
    assert cloud.failed() == []
    assert cloud.differences_from_fabric() == []
    said = node.log.read_text(errors="replace")[before:]
    tables = {line.split("`")[3] for line in said.splitlines() if line.startswith("RECORD LOCKS")}
    assert {table for table in tables if table.startswith("workflow_")} == set()


def rule(group: clouds.Json, number: int, **attributes: typing.Any) -> clouds.Json:
    return {
        "security_group_id": group["id"],
        "direction": "ingress",
        "protocol": "tcp",
        "port_range_min": 1000 + number,
        "port_range_max": 1000 + number,
        **attributes,
    }
