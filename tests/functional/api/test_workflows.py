# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``/v2.0/workflows``: who sees what, and how lists are asked for."""

import urllib.parse
import uuid

import pytest

from networking_workflow.model import failures, states
from tests.functional.api import clients, seed

pytestmark = pytest.mark.again_on_sqlite


def test_a_call_is_seen_by_its_project_as_a_workflow(neutron: clients.Neutron) -> None:
    tenant = neutron.tenant()
    network = tenant.create("network", name="n")
    (workflow,) = tenant.get(f"/workflows?resource_id={network['id']}")
    assert workflow["project_id"] == tenant.project_id
    assert (workflow["operation"], workflow["resource_type"]) == ("create", "network")
    assert workflow["workflow_state"] == "READY"
    assert workflow["initiator"] == "api"
    assert workflow["operation_id"].startswith("req-")
    assert workflow["created_at"].endswith("Z")
    assert tenant.get(f"/workflows/{workflow['id']}") == workflow


def test_a_tenant_sees_only_its_own(neutron: clients.Neutron, seeded: seed.Seed) -> None:
    one, other = neutron.tenant(), neutron.tenant()
    own, foreign = seeded.record(one.project_id), seeded.record(other.project_id)
    assert [row["id"] for row in one.get("/workflows")] == [own]
    assert one.status("GET", f"/workflows/{foreign}") == 404
    assert one.get(f"/workflows?id={foreign}") == []
    assert one.get(f"/workflows?project_id={other.project_id}") == []
    assert one.status("GET", f"/workflows?limit=1&marker={foreign}") == 404


def test_an_administrator_sees_all(neutron: clients.Neutron, seeded: seed.Seed) -> None:
    one, other = neutron.tenant(), neutron.tenant()
    ids = {seeded.record(one.project_id), seeded.record(other.project_id)}
    assert ids <= {row["id"] for row in neutron.admin.get("/workflows")}
    (only,) = neutron.admin.get(f"/workflows?project_id={one.project_id}")
    assert only["project_id"] == one.project_id


def test_a_user_without_a_reader_role_sees_nothing(
    neutron: clients.Neutron, seeded: seed.Seed
) -> None:
    tenant = neutron.tenant()
    workflow = seeded.record(tenant.project_id)
    nobody = clients.Client(neutron=neutron, project_id=tenant.project_id, roles="other")
    assert nobody.get("/workflows") == []
    assert nobody.status("GET", f"/workflows/{workflow}") == 404


def test_a_failure_is_told_in_safe_words_and_its_cause_to_administrators_only(
    neutron: clients.Neutron, seeded: seed.Seed
) -> None:
    tenant = neutron.tenant()
    workflow = seeded.record(tenant.project_id)
    seeded.fail(workflow)
    for path in (f"/workflows/{workflow}", f"/workflows?id={workflow}"):
        body = str(tenant.get_whole(path))
        for secret in (seed.DETAIL_SECRET, seed.HOST_SECRET, seed.SNAPSHOT_SECRET):
            assert secret not in body
    shown = tenant.get(f"/workflows/{workflow}")
    code = failures.FailureCode.BACKEND_REFUSED
    assert shown["workflow_state"] == "FAILED"
    assert shown["failure"] == {"code": code, "message": failures.TENANT_TEXT[code]}
    assert "failure_detail" not in shown
    asked = tenant.get(f"/workflows?id={workflow}&fields=failure_detail&fields=id")
    assert "failure_detail" not in asked[0]
    assert neutron.admin.get(f"/workflows/{workflow}")["failure_detail"] == seed.DETAIL_SECRET


def test_no_answer_carries_a_snapshot(neutron: clients.Neutron, seeded: seed.Seed) -> None:
    tenant = neutron.tenant()
    workflow = seeded.record(tenant.project_id)
    for client in (tenant, neutron.admin):
        for path in (f"/workflows/{workflow}", "/workflows", "/workflows?fields=snapshot"):
            assert seed.SNAPSHOT_SECRET not in str(client.get_whole(path))


def test_a_blocker_of_ones_own_is_named(neutron: clients.Neutron, seeded: seed.Seed) -> None:
    tenant = neutron.tenant()
    network = str(uuid.uuid4())
    blocker = seeded.record(tenant.project_id, resource_type="network", resource_id=network)
    seeded.claim(blocker)
    waiter = seeded.record(tenant.project_id, relies_on=[("network", network)])
    seeded.park(waiter)
    shown = tenant.get(f"/workflows/{waiter}")
    assert shown["workflow_state"] == "WAITING"
    assert shown["blocked_by"] == blocker
    assert shown["waiting_for"] == f"waits for workflow {blocker} of network {network}"


def test_a_blocker_of_another_project_is_not_named(
    neutron: clients.Neutron, seeded: seed.Seed
) -> None:
    tenant, other = neutron.tenant(), neutron.tenant()
    network = str(uuid.uuid4())
    blocker = seeded.record(other.project_id, resource_type="network", resource_id=network)
    seeded.claim(blocker)
    waiter = seeded.record(tenant.project_id, relies_on=[("network", network)])
    seeded.park(waiter)
    shown = tenant.get(f"/workflows/{waiter}")
    assert (shown["workflow_state"], shown["blocked_by"]) == ("WAITING", None)
    assert shown["waiting_for"] == "waits for another resource"
    assert blocker not in str(shown)
    assert network not in str(shown)
    assert neutron.admin.get(f"/workflows/{waiter}")["blocked_by"] == blocker


def test_a_held_workflow_says_for_what_if_that_is_ones_own(
    neutron: clients.Neutron, seeded: seed.Seed
) -> None:
    tenant, other = neutron.tenant(), neutron.tenant()
    for owner, named in ((tenant, True), (other, False)):
        group = str(uuid.uuid4())
        made = seeded.record(owner.project_id, resource_type="security_group", resource_id=group)
        seeded.fail(made)
        held = seeded.record(tenant.project_id)
        seeded.hold(held, "security_group", group)
        shown = tenant.get(f"/workflows/{held}")
        assert shown["workflow_state"] == "HELD"
        assert (shown["waits_for"] == f"security_group/{group}") is named
        assert (group in str(shown)) is named
        assert (shown["waiting_for"] == "waits for another resource") is not named
        assert neutron.admin.get(f"/workflows/{held}")["waits_for"] == f"security_group/{group}"


def test_an_unreachable_driver_is_named(neutron: clients.Neutron, seeded: seed.Seed) -> None:
    tenant = neutron.tenant()
    workflow = seeded.record(tenant.project_id)
    seeded.unreachable(workflow, driver="ovn")
    shown = tenant.get(f"/workflows/{workflow}")
    assert (shown["workflow_state"], shown["waits_for"]) == ("RETRYING", "driver:ovn")
    assert shown["waiting_for"] == "waits until the backend of driver ovn can be reached"
    assert shown["next_attempt_at"] is not None


def test_a_workflow_that_waits_for_its_turn_says_so(
    neutron: clients.Neutron, seeded: seed.Seed
) -> None:
    tenant = neutron.tenant()
    workflow = seeded.record(tenant.project_id)
    seeded.unreachable(workflow, code=failures.FailureCode.BACKEND_BUSY)
    shown = tenant.get(f"/workflows/{workflow}")
    assert (shown["workflow_state"], shown["waits_for"]) == ("RETRYING", "driver:ovn")
    assert shown["waiting_for"] == "waits for its turn at driver ovn"


def test_a_deleted_resources_workflows_are_still_found_by_its_id(
    neutron: clients.Neutron,
) -> None:
    tenant = neutron.tenant()
    network = tenant.create("network", name="n")
    assert tenant.status("DELETE", f"/networks/{network['id']}") == 204
    rows = tenant.get(f"/workflows?resource_id={network['id']}&sort_key=created_at&sort_dir=asc")
    assert [row["operation"] for row in rows] == ["create", "delete"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("resource_type=port", {"port", "failed"}),
        ("resource_type=port&resource_type=subnet", {"port", "failed", "subnet"}),
        ("workflow_state=FAILED", {"failed"}),
        ("workflow_state=FAILED&workflow_state=READY", {"port", "failed", "subnet"}),
        ("operation=update", {"subnet"}),
        ("driver=fabric", {"failed"}),
        ("driver=ovn", set()),
        ("task_state=FAILED&resource_type=port", {"failed"}),
    ],
)
@pytest.mark.on_sqlite
def test_filters(
    neutron: clients.Neutron, seeded: seed.Seed, query: str, expected: set[str]
) -> None:
    tenant = neutron.tenant()
    failed = seeded.record(tenant.project_id)
    seeded.fail(failed, driver="fabric")
    update = states.Operation.UPDATE
    ids = {
        failed: "failed",
        seeded.record(tenant.project_id): "port",
        seeded.record(tenant.project_id, resource_type="subnet", operation=update): "subnet",
    }
    assert {ids[row["id"]] for row in tenant.get(f"/workflows?{query}")} == expected


def test_a_filter_by_the_operation_finds_all_that_one_call_did(neutron: clients.Neutron) -> None:
    tenant = neutron.tenant()
    network = tenant.create("network", name="n")
    (workflow,) = tenant.get(f"/workflows?resource_id={network['id']}")
    rows = tenant.get(f"/workflows?operation_id={workflow['operation_id']}")
    assert workflow in rows


@pytest.mark.parametrize(
    "query",
    ["colour=blue", "snapshot=x", "failure_detail=x", "blocked_by=x", "workflow_state=BROKEN",
     "sort_key=failure_detail&sort_dir=asc", "sort_key=colour&sort_dir=asc", "limit=-1"],
)  # fmt: skip
def test_what_cannot_be_filtered_or_sorted_by_is_refused(
    neutron: clients.Neutron, query: str
) -> None:
    assert neutron.tenant().status("GET", f"/workflows?{query}") == 400


@pytest.mark.on_sqlite
def test_pages_follow_each_other_by_marker_in_both_directions(
    neutron: clients.Neutron, seeded: seed.Seed
) -> None:
    tenant = neutron.tenant()
    ids = sorted(seeded.record(tenant.project_id) for _ in range(5))
    seen: list[str] = []
    path = "/workflows?limit=2&sort_key=id&sort_dir=asc"
    while path:
        body = tenant.get_whole(path)
        seen += [row["id"] for row in body["workflows"]]
        path = _link(body, "next")
    assert seen == ids
    last = tenant.get_whole(f"/workflows?limit=2&marker={ids[4]}&sort_key=id&sort_dir=asc")
    before = tenant.get_whole(
        f"/workflows?limit=2&marker={ids[4]}&sort_key=id&sort_dir=asc&page_reverse=True"
    )
    assert last["workflows"] == []
    assert [row["id"] for row in before["workflows"]] == ids[2:4]
    assert tenant.status("GET", "/workflows?limit=2&marker=none") == 404


def _link(body: dict[str, list[dict[str, str]]], rel: str) -> str:
    for link in body.get("workflows_links", []):
        if link["rel"] == rel:
            return "/workflows?" + urllib.parse.urlsplit(link["href"]).query
    return ""


@pytest.mark.on_sqlite
def test_what_changed_since_a_time_is_found(neutron: clients.Neutron, seeded: seed.Seed) -> None:
    tenant = neutron.tenant()
    first = seeded.record(tenant.project_id)
    claim, _ = seeded.start(first)
    second = seeded.record(tenant.project_id)
    since = tenant.get(f"/workflows/{second}")["updated_at"]
    assert [row["id"] for row in tenant.get(f"/workflows?changed_since={since}")] == [second]
    seeded.journal.fail(claim, failures.Failure(code=failures.FailureCode.DRIVER_ERROR, detail=""))
    rows = tenant.get(f"/workflows?changed_since={since}&sort_key=created_at&sort_dir=asc")
    assert [row["id"] for row in rows] == [first, second]
    rows = tenant.get(f"/workflows?changed_since={since}&workflow_state=FAILED")
    assert [row["id"] for row in rows] == [first]
    assert tenant.get("/workflows?changed_since=2999-01-01T00:00:00Z") == []
    assert tenant.status("GET", "/workflows?changed_since=yesterday") == 400


@pytest.mark.on_sqlite
def test_a_workflow_sums_its_tasks_up(neutron: clients.Neutron, seeded: seed.Seed) -> None:
    tenant = neutron.tenant()
    workflow = seeded.record(tenant.project_id)
    assert tenant.get(f"/workflows/{workflow}")["tasks"] == {}
    seeded.start(workflow, "ovn", "fabric", "switch")
    for shown in (tenant.get(f"/workflows/{workflow}"), *tenant.get(f"/workflows?id={workflow}")):
        assert shown["tasks"] == {"RUNNING": 1, "PENDING": 2}
    (asked,) = tenant.get(f"/workflows?id={workflow}&fields=id")
    assert "tasks" not in asked


@pytest.mark.on_sqlite
def test_fields_are_chosen_and_rows_sorted(neutron: clients.Neutron, seeded: seed.Seed) -> None:
    tenant = neutron.tenant()
    for kind in ("subnet", "network", "port"):
        seeded.record(tenant.project_id, resource_type=kind)
    rows = tenant.get("/workflows?fields=resource_type&sort_key=resource_type&sort_dir=desc")
    assert [row["resource_type"] for row in rows] == ["subnet", "port", "network"]
    assert all(set(row) <= {"resource_type", "project_id", "tenant_id"} for row in rows)


@pytest.mark.parametrize("collection", ["workflows", "tasks"])
def test_nobody_writes(neutron: clients.Neutron, seeded: seed.Seed, collection: str) -> None:
    tenant = neutron.tenant()
    workflow = seeded.record(tenant.project_id)
    member = collection[:-1]
    for client in (tenant, neutron.admin):
        assert client.status("POST", f"/{collection}", {member: {"name": "x"}}) == 405
        assert client.status("PUT", f"/{collection}/{workflow}", {member: {"name": "x"}}) == 405
        assert client.status("DELETE", f"/{collection}/{workflow}") == 405
        assert client.status("DELETE", f"/{collection}") == 405
        assert client.status("PUT", f"/{collection}", {member: {}}) == 405


def test_the_extension_is_listed(neutron: clients.Neutron) -> None:
    aliases = [extension["alias"] for extension in neutron.tenant().get("/extensions")]
    assert "workflow" in aliases
