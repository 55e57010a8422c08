# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Resources that several projects see: their state is for all of these, workflows for one."""

import collections.abc
import dataclasses
import typing

import pytest

from networking_workflow.model import failures
from tests.functional.api import clients, seed
from tests.functional.api.test_sync_state import settle

#: Every project of other tests sees it, too, unless it is deleted.
SHARED = "shared-with-all"


@pytest.fixture(autouse=True)
def nothing_stays(neutron: clients.Neutron) -> collections.abc.Iterator[None]:
    """Delete what is shared with all."""
    yield
    for network in neutron.admin.get(f"/networks?name={SHARED}"):
        assert neutron.admin.status("DELETE", f"/networks/{network['id']}") == 204


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Shared:
    """A resource whose workflow has failed, of a project; and another one that sees it."""

    kind: str
    resource_id: str
    of: clients.Client
    seen_by: clients.Client


def _share(kind: str, resource_id: str, owner: clients.Client, user: clients.Client) -> None:
    policy = {
        "object_type": kind,
        "object_id": resource_id,
        "action": "access_as_shared",
        "target_tenant": user.project_id,
    }
    assert owner.status("POST", "/rbac-policies", {"rbac_policy": policy}) == 201


def _port_on_a_network_shared_by_rbac(neutron: clients.Neutron) -> Shared:
    owner, user = neutron.tenant(), neutron.tenant()
    network = owner.create("network", name="n")
    _share("network", network["id"], owner, user)
    port = user.create("port", network_id=network["id"])
    return Shared(kind="port", resource_id=port["id"], of=user, seen_by=owner)


def _network_shared_by_rbac(neutron: clients.Neutron) -> Shared:
    made = _port_on_a_network_shared_by_rbac(neutron)
    network = made.of.get(f"/ports/{made.resource_id}")["network_id"]
    return Shared(kind="network", resource_id=network, of=made.seen_by, seen_by=made.of)


def _network_shared_with_all(neutron: clients.Neutron) -> Shared:
    network = neutron.admin.create("network", name=SHARED, shared=True)
    return Shared(
        kind="network", resource_id=network["id"], of=neutron.admin, seen_by=neutron.tenant()
    )


def _security_group_shared_by_rbac(neutron: clients.Neutron) -> Shared:
    owner, user = neutron.tenant(), neutron.tenant()
    group = owner.create("security_group", name="g")
    _share("security_group", group["id"], owner, user)
    return Shared(kind="security-group", resource_id=group["id"], of=owner, seen_by=user)


@pytest.mark.parametrize(
    "share",
    [
        _port_on_a_network_shared_by_rbac,
        _network_shared_by_rbac,
        _network_shared_with_all,
        _security_group_shared_by_rbac,
    ],
)
def test_who_sees_a_resource_of_another_project_sees_its_state_and_not_its_workflows(
    neutron: clients.Neutron,
    seeded: seed.Seed,
    share: typing.Callable[[clients.Neutron], Shared],
) -> None:
    shared = share(neutron)
    settle(shared.of, shared.resource_id, seeded.fail)
    other = shared.seen_by
    shown = other.get(f"/{shared.kind}s/{shared.resource_id}")
    assert shown["sync_state"] == "ERROR"
    assert shown["sync_error"] == failures.TENANT_TEXT[failures.FailureCode.BACKEND_REFUSED]
    found = other.get(f"/{shared.kind}s?id={shared.resource_id}&sync_state=ERROR")
    assert [row["id"] for row in found] == [shared.resource_id]
    for collection in ("workflows", "tasks"):
        of_the_resource = f"/{collection}?resource_id={shared.resource_id}"
        rows = shared.of.get(of_the_resource)
        assert rows
        assert other.get(of_the_resource) == []
        assert other.get(f"{of_the_resource}&project_id={shared.of.project_id}") == []
        for row in rows:
            assert other.status("GET", f"/{collection}/{row['id']}") == 404
            assert other.get(f"/{collection}?id={row['id']}") == []
            assert other.status("GET", f"/{collection}?limit=1&marker={row['id']}") == 404
