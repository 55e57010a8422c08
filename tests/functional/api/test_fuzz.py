# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Whatever is asked of the extension, the answer is never an error of ours."""

import typing
import urllib.parse

import hypothesis
import pytest
from hypothesis import strategies as st

from networking_workflow.api import tasks, workflows
from tests.functional.api import clients, seed

pytestmark = pytest.mark.again_on_sqlite

#: The same requests in every run; a new failure is found by whoever changes something.
FUZZ = hypothesis.settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)

ATTRIBUTES = {**workflows.ATTRIBUTES, **tasks.ATTRIBUTES}

WORDS = st.sampled_from(
    ["READY", "FAILED", "port", "api", "ovn", "", "0", "-1", "null", "true", "2026-11-24T12:00:00Z",
     "9999-99-99", "0001-01-01T00:00:00+14:00", "%", "_", "'", "\\", "\x00", "\U0001f600",
     "a" * 300]
)  # fmt: skip
TEXTS = WORDS | st.text(max_size=20)
NAMES = st.sampled_from(sorted(ATTRIBUTES)) | st.sampled_from(
    ["fields", "sort_key", "sort_dir", "limit", "marker", "page_reverse", "snapshot", "metadata"]
)
QUERIES = st.lists(st.tuples(NAMES | TEXTS, TEXTS), max_size=5).map(urllib.parse.urlencode)
COLLECTIONS = st.sampled_from(["workflows", "tasks"])

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
FILTERS = st.dictionaries(NAMES | TEXTS, TEXTS | st.lists(TEXTS, max_size=3) | JSON, max_size=3)
BODIES = JSON | st.fixed_dictionaries(
    {"filters": FILTERS}, optional={"dry_run": JSON, "limit": JSON, "x": JSON}
)
ACTIONS = st.sampled_from(["retry", "skip", "cancel"])


@pytest.fixture(scope="module")
def tenant(neutron: clients.Neutron, seeded: seed.Seed) -> clients.Client:
    """A project that has something which its members must not read."""
    tenant = neutron.tenant()
    for _ in range(3):
        seeded.fail(seeded.record(tenant.project_id))
    (task, *_) = neutron.admin.get(f"/tasks?project_id={tenant.project_id}")
    assert (task["failure_detail"], task["host"]) == (seed.DETAIL_SECRET, seed.HOST_SECRET)
    return tenant


def _answered(client: clients.Client, method: str, path: str, body: typing.Any = None) -> None:
    answer = client.call(method, path, body)
    assert answer.status < 500, answer
    text = str(answer.body)
    for secret in (seed.HOST_SECRET, seed.DETAIL_SECRET, seed.SNAPSHOT_SECRET):
        assert secret not in text


@pytest.mark.on_sqlite
@FUZZ
@hypothesis.given(collection=COLLECTIONS, query=QUERIES)
def test_lists(tenant: clients.Client, collection: str, query: str) -> None:
    _answered(tenant, "GET", f"/{collection}?{query}")


@FUZZ
@hypothesis.given(collection=COLLECTIONS, which=TEXTS, query=QUERIES)
def test_single_ones(tenant: clients.Client, collection: str, which: str, query: str) -> None:
    path = f"/{collection}/{urllib.parse.quote(which, safe='')}?{query}"
    _answered(tenant, "GET", path)


@FUZZ
@hypothesis.given(
    method=st.sampled_from(["POST", "PUT", "DELETE", "PATCH"]),
    collection=COLLECTIONS,
    tail=st.sampled_from(["", "/x", "/x/retry", "/retry", "/x/y/z"]),
    body=BODIES,
)
def test_writes(
    tenant: clients.Client, method: str, collection: str, tail: str, body: typing.Any
) -> None:
    _answered(tenant, method, f"/{collection}{tail}", body)


@FUZZ
@hypothesis.given(action=ACTIONS, body=BODIES)
def test_actions_on_many(neutron: clients.Neutron, action: str, body: typing.Any) -> None:
    _answered(neutron.admin, "PUT", f"/workflows/{action}", body)
