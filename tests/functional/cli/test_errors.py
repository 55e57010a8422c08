# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What is told where there are no workflows, or no network service."""

import contextlib

import pytest

from lab import neutron
from lab.databases import pool
from tests.functional.cli import openstack, world

_COMMANDS = (
    ("workflow", "list"),
    ("workflow", "show", "some"),
    ("workflow", "retry", "some"),
    ("workflow", "skip", "--state", "FAILED", "--yes"),
    ("workflow", "wait", "some"),
    ("task", "list"),
    ("task", "show", "some"),
    ("sync", "list"),
    ("sync", "show", "port", "some"),
)


def test_a_network_service_without_workflows_is_told_as_that(
    database: pool.Database, forks: openstack.Forks, admin: openstack.OpenStack
) -> None:
    network = admin.json("network", "create", "plain")["id"]
    port = admin.json("port", "create", "--network", network, "plain")["id"]
    operator = neutron.Identity(user="operator", project="0" * 32, roles="admin,member,reader")
    with contextlib.ExitStack() as stack:
        url = world.serve(stack, database, core_plugin="ml2", identity=operator)
        stock = openstack.OpenStack(url=url, forks=forks)
        for command in _COMMANDS:
            ended = stock("network", *command)
            said = ended.err + ended.out  # a retry by id tells what became of each
            assert ended.status == 1, command
            assert "This network service keeps no workflows" in said, command
            assert "Traceback" not in said
        shown = stock.json("port", "show", port)
        assert shown["id"] == port
        assert "sync_state" not in shown


@pytest.mark.parametrize("command", [("workflow", "list"), ("workflow", "wait", "some")])
def test_a_network_service_that_is_away_is_told_as_that(
    forks: openstack.Forks, command: tuple[str, ...]
) -> None:
    nowhere = openstack.OpenStack(url="http://127.0.0.1:9", forks=forks)
    ended = nowhere("network", *command)
    assert (ended.status, ended.out) == (1, "")
    assert "http://127.0.0.1:9" in ended.err
    assert "Traceback" not in ended.err
