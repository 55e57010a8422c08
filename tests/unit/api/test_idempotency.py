# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""How a POST with an ``Idempotency-Key`` is read."""

import types

import hypothesis
import pytest
import webob
from hypothesis import strategies as st

from networking_workflow.api import idempotency
from networking_workflow.journal import idempotency as journal

ID = "11111111-2222-3333-4444-555555555555"


def request(path="/networks", body=b'{"network": {}}', key="k", method="POST"):
    made = webob.Request.blank(path, method=method, body=body)
    made.headers[idempotency.HEADER] = key
    made.environ["neutron.context"] = types.SimpleNamespace(project_id="p", request_id="req")
    return made


def read(*args, **kwargs):
    return idempotency.wanted(request(*args, **kwargs))


@pytest.mark.parametrize(
    ("path", "table"),
    [
        ("/networks", "networks"),
        ("/networks/", "networks"),
        ("/networks.json", "networks"),
        ("/security-groups", "securitygroups"),
        ("/security_groups", "securitygroups"),
        ("/qos/policies", "qos_policies"),
        (f"/qos/policies/{ID}/minimum-packet-rate-rules", "qos_minimum_packet_rate_rules"),
        (f"/floatingips/{ID}/port_forwardings", "portforwardings"),
    ],
)
def test_collections_are_known_by_every_path_that_neutron_serves_them_under(path, table):
    assert read(path).tables == {table}


@pytest.mark.parametrize(
    "path",
    ["/", "/nonsense", f"/networks/{ID}", f"/ports/{ID}/bindings", "/port_forwardings", "/v2.0"],
)
def test_what_takes_no_key_says_so(path):
    with pytest.raises(idempotency.Refused) as refused:
        read(path)
    assert (refused.value.status, refused.value.kind) == (400, "IdempotencyKeyNotSupported")


@pytest.mark.parametrize(
    ("path", "body", "collection", "count"),
    [
        ("/networks", b'{"network": {}}', None, 1),
        ("/networks", b'{"networks": [{}, {}]}', "networks", 2),
        ("/networks", b'{"network": [{}, {}]}', None, 1),
        ("/networks", b'{"network": {}, "x": [1, 2]}', None, 1),
        ("/security-groups", b'{"security_groups": [{}]}', "security_groups", 1),
        ("/qos/policies", b'{"policies": []}', "policies", 0),
        ("/networks", b"[1, 2]", None, 1),
        ("/networks", b"", None, 1),
        ("/networks", b"\xff{", None, 1),
        ("/networks", b"[" * 100_000, None, 1),
    ],
)
def test_a_body_asks_for_one_or_for_a_list(path, body, collection, count):
    asked = read(path, body)
    assert (asked.collection, asked.count) == (collection, count)


def test_what_is_asked_for_is_the_same_whatever_its_order_and_blanks():
    first = read(body=b'{"network": {"name": "a", "mtu": 1, "tags": [1, 2]}}')
    same = read(body=b'{ "network":{"tags":[1,2],"mtu":1,\n"name":"\\u0061"} }')
    assert first.key == same.key


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/networks", b'{"network": {"name": "b"}}'),
        ("/networks", b'{"network": {"name": "a", "mtu": null}}'),
        ("/networks", b'{"network": {"name": ["a"]}}'),
        ("/subnets", b'{"network": {"name": "a"}}'),
        ("/networks", b'{"network": {"name": "a"}'),
    ],
)
def test_what_differs_in_anything_is_another(path, body):
    first = read(body=b'{"network": {"name": "a"}}')
    assert read(path, body).key.fingerprint != first.key.fingerprint


def test_rules_of_two_policies_are_not_the_same():
    body = b'{"dscp_marking_rule": {"dscp_mark": 10}}'
    other = ID.replace("1", "9")
    paths = (f"/qos/policies/{one}/dscp_marking_rules" for one in (ID, other))
    first, second = (read(path, body).key.fingerprint for path in paths)
    assert first != second


@hypothesis.given(st.text(st.characters(max_codepoint=255), max_size=300))
def test_a_key_is_1_to_255_printable_characters_and_whatever_else_is_refused(key):
    stripped = key.strip()
    is_good = 1 <= len(stripped) <= 255 and all(" " <= one <= "~" for one in stripped)
    if is_good:
        assert read(key=key).key.key == stripped
    else:
        with pytest.raises(idempotency.Refused, match="printable ASCII"):
            read(key=key)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "GET", "PATCH"])
def test_other_methods_do_not_ask_for_it(method):
    assert not idempotency.is_asked_for(request(method=method))
    assert idempotency.is_asked_for(request())


def test_an_empty_key_is_asked_for_and_is_none():
    assert idempotency.is_asked_for(request(key=""))


def test_callers_without_a_project_share_no_key_with_any():
    bare = request()
    del bare.environ["neutron.context"]
    assert idempotency.wanted(bare).key.project_id == ""


def test_an_error_of_neutron_is_passed_on_and_no_repetition():
    busy = webob.Response(status=503, body=b"busy")
    first = journal.Entry(
        fingerprint=read().key.fingerprint,
        operation_id="req",
        resource_ids=(ID,),
        workflow_ids=(),
        is_over=False,
    )
    keys = idempotency.Keys(lambda key: first, busy)
    response = keys.answer(request(), lambda made: pytest.fail("called")).response
    assert (response.status_int, response.body) == (503, b"busy")
    assert idempotency.REPLAYED not in response.headers
