# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The fabric as a client meets it."""

import concurrent.futures
import pathlib
import subprocess
import sys
import typing

import pytest
import requests

from networking_workflow.drivers.fabric import client, server
from networking_workflow.model import errors

Json = dict[str, typing.Any]

NETWORK = {"name": "net"}
PORT = {"network_id": "n1"}

#: Seconds after which a test that waits for a named signal gives up.
_LONG_S = 30.0


@pytest.fixture
def caller(fabric: server.FabricServer) -> client.FabricClient:
    return client.FabricClient(fabric.url, timeout_s=5.0)


def behave(fabric: server.FabricServer, **behaviour: typing.Any) -> None:
    requests.put(f"{fabric.url}/v1/behaviour", json=behaviour, timeout=5).raise_for_status()


def record(fabric: server.FabricServer, query: str = "") -> list[Json]:
    answer = requests.get(f"{fabric.url}/v1/record{query}", timeout=_LONG_S).json()
    return typing.cast(list[Json], answer["record"])


def test_put_is_idempotent(fabric: server.FabricServer, caller: client.FabricClient) -> None:
    caller.put("network", "n1", NETWORK)
    caller.put("network", "n1", NETWORK)
    assert caller.get("network", "n1") == NETWORK
    assert [entry["changed"] for entry in record(fabric)] == [True, False]


def test_port_without_its_network_names_what_is_missing(caller: client.FabricClient) -> None:
    with pytest.raises(errors.MissingReference) as caught:
        caller.put("port", "p1", PORT)
    assert (caught.value.resource_type, caught.value.resource_id) == ("network", "n1")
    assert caller.get("port", "p1") is None


def test_network_with_ports_is_not_deleted_and_names_one(caller: client.FabricClient) -> None:
    caller.put("network", "n1", NETWORK)
    caller.put("port", "p1", PORT)
    with pytest.raises(errors.StillReferred) as caught:
        caller.delete("network", "n1")
    assert (caught.value.resource_type, caught.value.resource_id) == ("port", "p1")
    caller.delete("port", "p1")
    caller.delete("network", "n1")


def test_delete_of_absent_is_a_success(caller: client.FabricClient) -> None:
    caller.delete("port", "never")


def test_outage_cuts_connections_off_but_not_its_own_switch(
    fabric: server.FabricServer, caller: client.FabricClient
) -> None:
    behave(fabric, outage=True)
    for call in (caller.health, lambda: caller.put("network", "n1", NETWORK)):
        with pytest.raises(requests.ConnectionError):
            call()
    assert [(entry["status"], entry["changed"]) for entry in record(fabric)] == [(None, False)]
    behave(fabric)
    caller.health()
    assert caller.get("network", "n1") is None


def test_next_failures_are_transient_and_counted(
    fabric: server.FabricServer, caller: client.FabricClient
) -> None:
    behave(fabric, fail_next=2)
    for _ in range(2):
        with pytest.raises(errors.TransientFailure):
            caller.put("network", "n1", NETWORK)
    caller.put("network", "n1", NETWORK)
    assert [entry["status"] for entry in record(fabric)] == [503, 503, 201]


def test_failure_of_one_object_is_permanent_and_leaves_others_alone(
    fabric: server.FabricServer, caller: client.FabricClient
) -> None:
    behave(fabric, fail={"network/n1": {"status": 422, "message": "no such profile"}})
    with pytest.raises(errors.PermanentFailure, match="no such profile"):
        caller.put("network", "n1", NETWORK)
    caller.put("network", "n2", NETWORK)


def test_failure_rate_of_one_fails_everything(
    fabric: server.FabricServer, caller: client.FabricClient
) -> None:
    behave(fabric, failure_rate=1.0)
    with pytest.raises(errors.TransientFailure):
        caller.delete("network", "n1")


def test_dropped_answer_belongs_to_an_effect_that_was_made(
    fabric: server.FabricServer, caller: client.FabricClient
) -> None:
    behave(fabric, drop_answers=1)
    with pytest.raises(requests.ConnectionError):
        caller.put("network", "n1", NETWORK)
    assert caller.get("network", "n1") == NETWORK


def test_hanging_effect_is_seen_in_flight_and_goes_on_when_released(
    fabric: server.FabricServer, caller: client.FabricClient
) -> None:
    behave(fabric, hang=["network/n1"])
    with concurrent.futures.ThreadPoolExecutor() as pool:
        hanging = pool.submit(caller.put, "network", "n1", NETWORK)
        url = f"{fabric.url}/v1/in-flight?at_least=1&wait_s={_LONG_S}"
        [effect] = requests.get(url, timeout=_LONG_S).json()["in_flight"]
        assert effect["id"] == "n1"
        caller.put("network", "n2", NETWORK)
        behave(fabric)
        hanging.result(_LONG_S)
    assert [entry["id"] for entry in record(fabric)] == ["n2", "n1"]


def test_latency_is_at_least_what_was_asked(
    fabric: server.FabricServer, caller: client.FabricClient
) -> None:
    behave(fabric, latency_s=0.2)
    caller.put("network", "n1", NETWORK)
    [entry] = record(fabric)
    assert entry["finished_at"] - entry["started_at"] >= 0.2


def test_one_kind_may_be_slower_than_the_others(
    fabric: server.FabricServer, caller: client.FabricClient
) -> None:
    behave(fabric, slow={"binding": 0.2})
    caller.put("network", "n1", NETWORK)
    caller.put("binding", "p1", {"host": "h"})
    network, binding = (one["finished_at"] - one["started_at"] for one in record(fabric))
    assert network < 0.2 <= binding


def test_record_since_a_number_waits_for_what_comes(
    fabric: server.FabricServer, caller: client.FabricClient
) -> None:
    caller.put("network", "n1", NETWORK)
    [first] = record(fabric)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        later = pool.submit(record, fabric, f"?since={first['seq']}&wait_s={_LONG_S}")
        caller.delete("network", "n1")
        [entry] = later.result(_LONG_S)
    assert (entry["method"], entry["answer"]) == ("DELETE", NETWORK)


def test_a_lie_is_answered_like_the_truth_and_changes_nothing(
    fabric: server.FabricServer, caller: client.FabricClient
) -> None:
    caller.put("network", "n1", NETWORK)
    behave(fabric, lie=["network"])
    caller.put("network", "n1", {"name": "other"})
    caller.put("network", "n2", NETWORK)
    caller.delete("network", "n1")
    assert (caller.get("network", "n1"), caller.get("network", "n2")) == (NETWORK, None)
    assert [entry["changed"] for entry in record(fabric)] == [True, False, False, False]
    behave(fabric)
    caller.delete("network", "n1")
    assert caller.get("network", "n1") is None


@pytest.mark.parametrize(
    "wrong", [{"latncy": 1}, {"latency_s": -1}, {"failure_rate": 2}, {"slow": {"port": -1}}]
)
def test_wrong_behaviour_is_refused(fabric: server.FabricServer, wrong: Json) -> None:
    assert requests.put(f"{fabric.url}/v1/behaviour", json=wrong, timeout=5).status_code == 400


def test_patch_changes_a_part_of_the_behaviour(fabric: server.FabricServer) -> None:
    behave(fabric, latency_s=0.5, fail_next=1)
    url = f"{fabric.url}/v1/behaviour"
    answer = requests.patch(url, json={"latency_s": 0}, timeout=5).json()
    assert (answer["latency_s"], answer["fail_next"]) == (0, 1)


def test_stopped_fabric_answers_nobody(caller: client.FabricClient) -> None:
    with server.FabricServer(("127.0.0.1", 0)).running() as stopping:
        gone = client.FabricClient(stopping.url, timeout_s=5.0)
        gone.health()
    with pytest.raises(requests.ConnectionError):
        gone.health()


def test_file_keeps_objects_and_record_across_a_kill(tmp_path: pathlib.Path) -> None:
    def start() -> tuple[subprocess.Popen[str], client.FabricClient]:
        command = [sys.executable, "-m", server.__name__, "--store", str(tmp_path / "fabric.db")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout
        return process, client.FabricClient(process.stdout.readline().strip(), timeout_s=5.0)

    first, caller = start()
    caller.put("network", "n1", NETWORK)
    first.kill()
    first.communicate()
    second, caller = start()
    try:
        assert caller.get("network", "n1") == NETWORK
    finally:
        second.kill()
        second.communicate()
