# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""CORS: a page of another origin that may call Neutron can use what we add to it."""

from tests.functional.api import clients


def _names(answer: clients.Answer, header: str) -> set[str]:
    return set(answer.headers[header].split(","))


def test_a_page_reads_our_headers_and_neutrons(neutron: clients.Neutron) -> None:
    answer = neutron.tenant().call(
        "POST",
        "/networks",
        {"network": {"name": "n"}},
        **{"Origin": clients.ORIGIN, "Prefer": "respond-async"},
    )
    assert answer.status == 202
    exposed = _names(answer, "Access-Control-Expose-Headers")
    ours = {"OpenStack-Workflow-Id", "Preference-Applied", "Location", "Retry-After"}
    assert ours <= set(answer.headers)
    sometimes = {"OpenStack-Workflow-Wait", "Idempotency-Replayed"}
    assert exposed >= {*ours, *sometimes, "X-OpenStack-Request-ID"}


def test_a_page_may_send_what_our_callers_send(neutron: clients.Neutron) -> None:
    asked = {
        "Origin": clients.ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "Content-Type, Idempotency-Key, Prefer, X-Auth-Token",
    }
    answer = neutron.tenant().call("OPTIONS", "/networks", **asked)
    assert answer.headers["Access-Control-Allow-Origin"] == clients.ORIGIN
    assert {"Idempotency-Key", "Prefer"} <= _names(answer, "Access-Control-Allow-Headers")


def test_a_page_of_another_origin_is_told_nothing(neutron: clients.Neutron) -> None:
    answer = neutron.tenant().call("GET", "/workflows", Origin="https://other.example")
    assert answer.status == 200
    assert not [name for name in answer.headers if name.startswith("Access-Control")]
