# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``/v2.0/tasks``: which driver did what, or cannot go on."""

import pytest

from networking_workflow.model import failures
from tests.functional.api import clients, seed
from tests.functional.api.test_sync_state import statements

pytestmark = pytest.mark.again_on_sqlite


def test_a_tenant_sees_its_own_tasks_without_cause_and_host(
    neutron: clients.Neutron, seeded: seed.Seed
) -> None:
    tenant, other = neutron.tenant(), neutron.tenant()
    workflow = seeded.record(tenant.project_id)
    seeded.fail(workflow)
    (task,) = tenant.get(f"/tasks?workflow_id={workflow}")
    code = failures.FailureCode.BACKEND_REFUSED
    assert (task["name"], task["driver"], task["task_state"]) == ("ovn", "ovn", "FAILED")
    assert task["failure"] == {"code": code, "message": failures.TENANT_TEXT[code]}
    assert task["attempts"] == 1
    assert not {"failure_detail", "host"} & set(task)
    assert tenant.get(f"/tasks/{task['id']}") == task
    assert other.status("GET", f"/tasks/{task['id']}") == 404
    assert other.get("/tasks") == []
    for path in ("/tasks", f"/tasks/{task['id']}", "/tasks?fields=host&fields=failure_detail"):
        body = str(tenant.get_whole(path))
        assert not any(secret in body for secret in (seed.DETAIL_SECRET, seed.HOST_SECRET))


def test_an_administrator_sees_cause_and_host(neutron: clients.Neutron, seeded: seed.Seed) -> None:
    workflow = seeded.record(neutron.tenant().project_id)
    seeded.fail(workflow)
    (task,) = neutron.admin.get(f"/tasks?workflow_id={workflow}")
    assert (task["failure_detail"], task["host"]) == (seed.DETAIL_SECRET, seed.HOST_SECRET)


def test_the_driver_that_cannot_go_on_is_found_by_resource_and_state(
    neutron: clients.Neutron, seeded: seed.Seed
) -> None:
    tenant = neutron.tenant()
    port = "0fd2ab1c-0000-4000-8000-000000000001"
    seeded.unreachable(seeded.record(tenant.project_id, resource_id=port), driver="fabric")
    seeded.succeed(seeded.record(tenant.project_id))
    (task,) = tenant.get(f"/tasks?resource_id={port}&task_state=RETRYING&task_state=FAILED")
    assert (task["driver"], task["failure"]["code"]) == ("fabric", "BACKEND_UNREACHABLE")


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("driver=fabric", 1),
        ("driver=fabric&driver=ovn", 2),
        ("workflow_state=SUCCESS", 1),
        ("task_state=SUCCESS", 1),
        ("resource_type=network", 0),
    ],
)
def test_filters(neutron: clients.Neutron, seeded: seed.Seed, query: str, count: int) -> None:
    tenant = neutron.tenant()
    seeded.fail(seeded.record(tenant.project_id), driver="fabric")
    seeded.succeed(seeded.record(tenant.project_id))
    assert len(tenant.get(f"/tasks?{query}")) == count


def test_tasks_of_one_api_call(neutron: clients.Neutron, seeded: seed.Seed) -> None:
    tenant = neutron.tenant()
    workflow = seeded.record(tenant.project_id)
    seeded.succeed(workflow)
    seeded.succeed(seeded.record(tenant.project_id))
    operation = tenant.get(f"/workflows/{workflow}")["operation_id"]
    (task,) = tenant.get(f"/tasks?operation_id={operation}")
    assert task["workflow_id"] == workflow


@pytest.mark.parametrize(
    "query", ["host=x", "failure_detail=x", "task_state=BROKEN", "sort_key=host&sort_dir=asc"]
)
def test_what_cannot_be_filtered_or_sorted_by_is_refused(
    neutron: clients.Neutron, query: str
) -> None:
    assert neutron.tenant().status("GET", f"/tasks?{query}") == 400


@pytest.mark.on_sqlite
def test_what_changed_since_a_time_is_found(neutron: clients.Neutron, seeded: seed.Seed) -> None:
    tenant = neutron.tenant()
    for _ in range(2):
        second = seeded.record(tenant.project_id)
        seeded.fail(second)
    (task,) = tenant.get(f"/tasks?workflow_id={second}")
    (found,) = tenant.get(f"/tasks?changed_since={task['updated_at']}")
    assert found["id"] == task["id"]
    assert tenant.status("GET", "/tasks?changed_since=24.11.2026") == 400


@pytest.mark.parametrize(
    ("query", "order"),
    [
        ("limit=10", "id ASC"),
        ("limit=10&sort_key=created_at&sort_dir=asc", "created_at ASC, id ASC"),
        ("limit=10&sort_key=created_at&sort_dir=desc", "created_at DESC, id DESC"),
        ("limit=10&sort_key=id&sort_dir=desc", "id DESC"),
        ("limit=10&page_reverse=True", "id DESC"),
    ],
)
@pytest.mark.parametrize("collection", ["tasks", "workflows"])
@pytest.mark.on_sqlite
def test_a_page_is_in_the_order_of_one_index(
    neutron: clients.Neutron, collection: str, query: str, order: str
) -> None:
    """Else the database sorts all rows for each page: of a million that takes a second."""
    with statements() as seen:
        neutron.tenant().get(f"/{collection}?{query}")
    (listed,) = [text for text in seen if f"FROM workflow_{collection}" in text]
    sorted_by = listed.replace(f"workflow_{collection}.", "").partition("ORDER BY ")[2]
    assert sorted_by.partition("LIMIT")[0].split() == order.split()


@pytest.mark.on_sqlite
def test_what_is_equal_in_the_key_of_a_sort_follows_by_id_in_its_direction(
    neutron: clients.Neutron, seeded: seed.Seed
) -> None:
    tenant = neutron.tenant()
    seeded.start(seeded.record(tenant.project_id), "one", "two", "three")
    of_one = "/tasks?sort_key=workflow_id&sort_dir=desc"
    seen: list[str] = []
    for _ in range(3):
        marker = f"&marker={seen[-1]}" if seen else ""
        seen += [row["id"] for row in tenant.get(f"{of_one}&limit=1{marker}")]
    assert seen == sorted(seen, reverse=True)
    assert seen == [row["id"] for row in tenant.get(of_one)]
