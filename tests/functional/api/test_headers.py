# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``OpenStack-Workflow-Id``: which workflows a call opened."""

import typing

import pytest
from neutron_lib.callbacks import events, registry, resources
from oslo_db import exception as db_exceptions

from networking_workflow.api import headers
from tests.functional.api import clients

pytestmark = pytest.mark.again_on_sqlite


def _ids(answer: clients.Answer) -> list[str]:
    said = answer.headers.get(headers.WORKFLOW_ID)
    return said.split(", ") if said else []


def _of(tenant: clients.Client, resource_id: str) -> list[str]:
    path = f"/workflows?resource_id={resource_id}&sort_key=created_at&sort_dir=asc"
    return [row["id"] for row in tenant.get(path)]


def _tenant(neutron: clients.Neutron) -> clients.Client:
    """Return a tenant whose default group, which comes with its first call, is there."""
    tenant = neutron.tenant()
    tenant.create("network", name="first")
    return tenant


def test_a_projects_first_call_names_its_default_group_too(neutron: clients.Neutron) -> None:
    tenant = neutron.tenant()
    answer = tenant.call("POST", "/networks", {"network": {"name": "n"}})
    kinds = {tenant.get(f"/workflows/{one}")["resource_type"] for one in _ids(answer)}
    assert kinds == {"network", "security_group"}


def test_every_call_that_changes_something_names_its_workflow(neutron: clients.Neutron) -> None:
    tenant = _tenant(neutron)
    group = tenant.call("POST", "/security-groups", {"security_group": {"name": "g"}})
    network = tenant.call("POST", "/networks", {"network": {"name": "n"}})
    network_id = network.body["network"]["id"]
    named = tenant.call("PUT", f"/networks/{network_id}", {"network": {"name": "m"}})
    deleted = tenant.call("DELETE", f"/networks/{network_id}")
    assert _ids(group) == _of(tenant, group.body["security_group"]["id"])
    said = [_ids(answer) for answer in (network, named, deleted)]
    assert [[one] for one in _of(tenant, network_id)] == said


def test_a_call_that_opens_several_names_them_all(neutron: clients.Neutron) -> None:
    tenant = _tenant(neutron)
    network = tenant.create("network", name="n")
    body = {"ports": [{"network_id": network["id"]} for _ in range(3)]}
    answer = tenant.call("POST", "/ports", body)
    opened = [one for port in answer.body["ports"] for one in _of(tenant, port["id"])]
    assert sorted(_ids(answer)) == sorted(opened)


def test_so_many_that_a_header_cannot_hold_them_are_cut_off(
    neutron: clients.Neutron, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(headers, "MOST_IDS", 2)
    tenant = neutron.tenant()
    network = tenant.create("network", name="n")
    answer = tenant.call("POST", "/ports", {"ports": [{"network_id": network["id"]}] * 3})
    assert answer.status == 201
    assert len(_ids(answer)) == 2


def test_reading_and_what_is_refused_open_none(neutron: clients.Neutron) -> None:
    tenant = neutron.tenant()
    network = tenant.create("network", name="n")
    same = {"network": {"name": "n"}}
    for answer in (
        tenant.call("GET", "/networks"),
        tenant.call("PUT", f"/networks/{network['id']}", same),
        tenant.call("POST", "/networks", {"network": {"colour": "blue"}}),
    ):
        assert headers.WORKFLOW_ID not in answer.headers


@pytest.mark.on_sqlite
def test_a_call_that_was_repeated_names_what_committed_alone(neutron: clients.Neutron) -> None:
    tenant, times = _tenant(neutron), []

    def fail_once(*_: typing.Any, **__: typing.Any) -> None:
        times.append(1)
        if len(times) == 1:
            raise db_exceptions.DBDeadlock

    registry.subscribe(fail_once, resources.NETWORK, events.PRECOMMIT_CREATE)
    try:
        answer = tenant.call("POST", "/networks", {"network": {"name": "n"}})
    finally:
        registry.unsubscribe(fail_once, resources.NETWORK, events.PRECOMMIT_CREATE)
    assert len(times) == 2
    assert _ids(answer) == _of(tenant, answer.body["network"]["id"])
