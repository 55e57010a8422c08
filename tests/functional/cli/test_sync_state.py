# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``openstack network sync list`` and ``show``: what is not in sync, and why."""

import typing

from tests.functional.api import seed
from tests.functional.cli import openstack, world

_LIST = ("network", "sync", "list")
_REFUSED = "The network backend refused the change."


def _project(
    url: str, seeded: seed.Seed, tenant: openstack.OpenStack
) -> tuple[world.Project, dict[str, str]]:
    """Return a project with a network in sync, two broken ones, and one that could not go."""
    assert tenant.project_id is not None
    project = world.Project(url, seeded, tenant.project_id)
    ids = {name: project.make("networks", name=name)["id"] for name in ("web", "gone")}
    project.settle()  # the project's default security group, too
    for name in ("odd", "odder"):
        ids[name] = project.make("networks", name=name)["id"]
        seeded.fail(project.workflow(ids[name]))
    project.delete("networks", ids["gone"])
    seeded.fail(project.workflow(ids["gone"]))
    ids["new"] = project.make("networks", name="new")["id"]
    return project, ids


def _groups(rows: list[dict[str, typing.Any]]) -> set[tuple[typing.Any, ...]]:
    columns = ("Resource Type", "Sync State", "Resources", "Reason")
    return {tuple(row[column] for column in columns) for row in rows}


def test_what_is_not_in_sync_is_counted_by_type_state_and_reason(
    url: str, admin: openstack.OpenStack, tenant: openstack.OpenStack, seeded: seed.Seed
) -> None:
    project, ids = _project(url, seeded, tenant)
    expected = {
        ("network", "ERROR", 2, _REFUSED),
        ("network", "PENDING", 1, None),
        ("network (deleted)", "ERROR", 1, _REFUSED),
    }
    assert _groups(tenant.json(*_LIST)) == expected
    assert _groups(admin.json(*_LIST, "--project", project.id)) == expected
    errors = tenant.json(*_LIST, "--state", "error", "--type", "network", "--long")
    assert {(row["ID"], row["Name"], row["Reason"]) for row in errors} == {
        (ids["odd"], "odd", _REFUSED),
        (ids["odder"], "odder", _REFUSED),
        (ids["gone"], "", _REFUSED),
    }
    synced = tenant.json(*_LIST, "--state", "SYNCED", "--type", "network", "--type", "port")
    assert _groups(synced) == {("network", "SYNCED", 1, None)}
    nothing = tenant(*_LIST, "--type", "port")
    assert nothing.status == 0
    assert "Nothing that you may see is in these states: PENDING, DRIFTED, ERROR." in nothing.err


def test_one_resource_is_told_of_by_id_or_name(
    url: str, admin: openstack.OpenStack, tenant: openstack.OpenStack, seeded: seed.Seed
) -> None:
    project, ids = _project(url, seeded, tenant)
    two = ("--resource", ids["web"], "--resource", ids["odd"])
    rows = tenant.json(*_LIST, *two)
    assert {(row["Name"], row["Sync State"]) for row in rows} == {
        ("web", "SYNCED"),
        ("odd", "ERROR"),
    }
    odd = tenant.json("network", "sync", "show", "network", "odd")
    assert (odd["id"], odd["sync_state"], odd["sync_error"]) == (ids["odd"], "ERROR", _REFUSED)
    assert (odd["workflow"], odd["workflow_state"]) == (project.workflow(ids["odd"]), "FAILED")
    assert odd["failure_detail"] is None
    as_admin = admin.json("network", "sync", "show", "network", ids["odd"])
    assert as_admin["failure_detail"] == seed.DETAIL_SECRET
    project.make("networks", name="odd")
    ambiguous = tenant("network", "sync", "show", "network", "odd")
    assert (ambiguous.status, ambiguous.out) == (1, "")
    assert "2 resources have the name 'odd'; say which by ID: " in ambiguous.err
    assert ids["odd"] in ambiguous.err
    gone = tenant("network", "sync", "show", "network", ids["gone"])
    assert "What became of a deleted one is shown by: openstack network workflow" in gone.err


def test_stock_commands_show_the_state_of_what_they_show(
    url: str, tenant: openstack.OpenStack, seeded: seed.Seed
) -> None:
    project, ids = _project(url, seeded, tenant)
    shown = tenant.json("network", "show", ids["odd"])
    assert (shown["sync_state"], shown["sync_error"]) == ("ERROR", _REFUSED)
    port = project.make("ports", network_id=ids["odd"], name="eth0")["id"]
    seeded.fail(project.workflow(port))
    shown = tenant.json("port", "show", "eth0")
    assert (shown["id"], shown["sync_state"], shown["sync_error"]) == (port, "ERROR", _REFUSED)
    assert list(shown) == sorted(shown)
    columns = tenant("port", "show", port, "-c", "sync_state", "-f", "value")
    assert columns.out.split() == ["ERROR"]
