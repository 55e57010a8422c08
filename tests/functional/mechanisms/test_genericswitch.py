# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""networking-generic-switch, unmodified, with the switch that it ships for tests without hardware.

That switch only logs the commands that it takes; who reads them knows what a real one would hold.
Faults are injected where the package itself provides for it: ``ngs_fake_failure_prob``.
"""

import collections.abc
import logging
import pathlib
import re
import typing

import pytest

from networking_workflow.drivers.fabric import server
from tests.functional.mechanisms import cloud as clouds
from tests.waiting import wait_until

Json = dict[str, typing.Any]

CONFIGURATION = """\
[genericswitch:leaf]
device_type = netmiko_fake
ip = 192.0.2.1
username = admin
password = secret-of-the-switch
ngs_physical_networks = physnet1
"""

_FAKE = "networking_generic_switch.devices.netmiko_devices.fake"


# -- in Neutron's process --------------------------------------------------------------------------


class Leaf(logging.Handler):
    """What the switch holds by the commands that it took."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.vlans: set[int] = set()
        self.ports: dict[str, int] = {}
        self.commands: list[str] = []
        self.loses_answers = False

    def emit(self, record: logging.LogRecord) -> None:
        command = record.getMessage()
        self.commands.append(command)
        if found := re.fullmatch(r"plug port (\S+) to network (\d+)", command):
            self.ports[found[1]] = int(found[2])
        elif found := re.fullmatch(r"delete port (\S+)", command):
            self.ports.pop(found[1], None)
        elif found := re.fullmatch(r"add network (\d+)", command):
            self.vlans.add(int(found[1]))
        elif found := re.fullmatch(r"delete network (\d+)", command):
            self.vlans.discard(int(found[1]))
        else:
            raise AssertionError(f"what does {command!r} do?")
        if self.loses_answers:
            raise ConnectionResetError(f"the answer to {command!r} is lost")


LEAF = Leaf()


def watch(_plugin: typing.Any) -> None:
    logger = logging.getLogger(_FAKE)
    logger.setLevel(logging.INFO)
    logger.addHandler(LEAF)


def held(_plugin: typing.Any) -> tuple[set[int], dict[str, int], list[str]]:
    return LEAF.vlans, LEAF.ports, LEAF.commands


def set_failing(plugin: typing.Any, probability: float) -> None:
    driver = plugin.mechanism_manager.mech_drivers["genericswitch"].obj
    driver.switches["leaf"].ngs_config["ngs_fake_failure_prob"] = probability


def lose_answers(_plugin: typing.Any, lost: bool) -> None:
    LEAF.loses_answers = lost


# -- the tests -------------------------------------------------------------------------------------


class Switch:
    """The test's view of it."""

    def __init__(self, cloud: clouds.Cloud) -> None:
        self._cloud = cloud

    @property
    def vlans(self) -> set[int]:
        return typing.cast(set[int], self._cloud.call(held)[0])

    @property
    def ports(self) -> dict[str, int]:
        """VLAN by switch port."""
        return typing.cast(dict[str, int], self._cloud.call(held)[1])

    @property
    def commands(self) -> list[str]:
        return typing.cast(list[str], self._cloud.call(held)[2])

    def fail(self) -> None:
        self._cloud.call(set_failing, 1.0)

    def lose_answers(self) -> None:
        """Take every command, and answer none."""
        self._cloud.call(lose_answers, True)

    def work(self) -> None:
        self._cloud.call(lose_answers, False)
        self._cloud.call(set_failing, 0.0)


@pytest.fixture(scope="module")
def fabric() -> collections.abc.Iterator[server.FabricServer]:
    with server.FabricServer(("127.0.0.1", 0)).running() as running:
        yield running


@pytest.fixture(scope="module")
def cloud(
    tmp_path_factory: pytest.TempPathFactory, fabric: server.FabricServer
) -> collections.abc.Iterator[clouds.Cloud]:
    """A fabric beside the switch; it binds nothing."""
    more = f"[fabric]\nurl = {fabric.url}\nvif_type =\n"
    folder = tmp_path_factory.mktemp("genericswitch")
    with clouds.running(
        folder, mechanism_drivers="fabric,genericswitch", configuration=CONFIGURATION + more
    ) as running:
        running.call(watch)
        yield running


@pytest.fixture(scope="module")
def patient_cloud(
    tmp_path_factory: pytest.TempPathFactory,
) -> collections.abc.Iterator[clouds.Cloud]:
    """The switch alone; what fails is tried until it works."""
    with clouds.running(
        tmp_path_factory.mktemp("patient"),
        mechanism_drivers="genericswitch",
        configuration=CONFIGURATION,
        attempts=1000,
    ) as running:
        running.call(watch)
        yield running


@pytest.fixture
def switch(cloud: clouds.Cloud) -> collections.abc.Iterator[Switch]:
    """The switch, which works before and after each test."""
    made = Switch(cloud)
    yield made
    made.work()
    cloud.settles()


@pytest.fixture
def network(cloud: clouds.Cloud, switch: Switch) -> Json:
    made = cloud.create("network")
    cloud.comes_to(made["id"], "SUCCESS")
    return made


def plugged_at(*slots: str) -> Json:
    """Return what Ironic says of a node's port."""
    switch = {"switch_info": "leaf", "switch_id": "00:00:5e:00:53:01"}
    links = [{**switch, "port_id": slot} for slot in slots]
    return {
        "binding:host_id": "node-1",
        "binding:vnic_type": "baremetal",
        "binding:profile": {"local_link_information": links},
    }


UNPLUGGED = {"binding:host_id": "", "binding:profile": {}}


def vlan_of(network: Json) -> int:
    return int(network["provider:segmentation_id"])


def test_network_is_a_vlan_of_the_switch_and_leaves_it(cloud: clouds.Cloud, switch: Switch) -> None:
    network = cloud.create("network")
    cloud.comes_to(network["id"], "SUCCESS")
    assert vlan_of(network) in switch.vlans
    cloud.delete("network", network["id"])
    cloud.comes_to(network["id"], "SUCCESS")
    assert vlan_of(network) not in switch.vlans


def test_port_is_plugged_unplugged_and_deleted_by_tasks(
    cloud: clouds.Cloud, switch: Switch, network: Json
) -> None:
    port = cloud.create("port", network_id=network["id"], **plugged_at("eth1"))
    assert port["binding:vif_type"] == "other"  # bound in the call, from memory
    cloud.comes_to(port["id"], "SUCCESS")
    assert switch.ports["eth1"] == vlan_of(network)
    shown = cloud.show("port", port["id"])
    assert (shown["status"], shown["sync_state"]) == ("ACTIVE", "SYNCED")

    cloud.update("port", port["id"], **UNPLUGGED)
    cloud.comes_to(port["id"], "SUCCESS")
    assert "eth1" not in switch.ports

    cloud.update("port", port["id"], **plugged_at("eth2"))
    cloud.comes_to(port["id"], "SUCCESS")
    assert switch.ports["eth2"] == vlan_of(network)

    cloud.delete("port", port["id"])
    cloud.comes_to(port["id"], "SUCCESS")
    assert not switch.ports.keys() & {"eth1", "eth2"}
    assert {task.driver for task in cloud.tasks(port["id"])} == {"fabric", "genericswitch"}


def test_port_that_moves_to_another_switch_port_leaves_the_old_one(
    cloud: clouds.Cloud, switch: Switch, network: Json
) -> None:
    port = cloud.create("port", network_id=network["id"], **plugged_at("eth1"))
    cloud.comes_to(port["id"], "SUCCESS")
    cloud.update("port", port["id"], **plugged_at("eth2"))
    cloud.comes_to(port["id"], "SUCCESS")
    assert "eth1" not in switch.ports
    assert switch.ports["eth2"] == vlan_of(network)
    assert cloud.show("port", port["id"])["status"] == "ACTIVE"
    cloud.delete("port", port["id"])


def test_failing_switch_is_seen_retried_and_failed_and_a_later_change_heals_it(
    cloud: clouds.Cloud, switch: Switch, network: Json
) -> None:
    switch.fail()
    port = cloud.create("port", network_id=network["id"], **plugged_at("eth3"))
    assert port["binding:vif_type"] == "other"
    cloud.comes_to(port["id"], "FAILED")
    shown = cloud.show("port", port["id"])
    assert (shown["status"], shown["sync_state"]) == ("DOWN", "ERROR")
    failed = cloud.latest(port["id"])
    assert (failed.attempts, failed.failure_code) == (3, "BACKEND_BUSY")
    states = {task.driver: task.task_state for task in cloud.tasks(port["id"])}
    assert states == {"fabric": "SUCCESS", "genericswitch": "FAILED"}
    (task,) = (task for task in cloud.tasks(port["id"]) if task.driver == "genericswitch")
    assert "GenericSwitchNetmikoConnectError" in task.failure_detail
    assert "secret-of-the-switch" not in task.failure_detail
    assert "eth3" not in switch.ports

    switch.work()
    cloud.update("port", port["id"], name="again")
    cloud.comes_to(port["id"], "SUCCESS")
    assert switch.ports["eth3"] == vlan_of(network)
    shown = cloud.show("port", port["id"])
    assert (shown["status"], shown["sync_state"]) == ("ACTIVE", "SYNCED")
    cloud.delete("port", port["id"])


def test_failed_delete_stays_visible_and_is_made_good_by_a_retry(
    cloud: clouds.Cloud, switch: Switch, network: Json
) -> None:
    port = cloud.create("port", network_id=network["id"], **plugged_at("eth4"))
    cloud.comes_to(port["id"], "SUCCESS")
    switch.fail()
    cloud.delete("port", port["id"])
    cloud.comes_to(port["id"], "FAILED")
    assert switch.ports["eth4"] == vlan_of(network)
    switch.work()
    cloud.call(retry, cloud.latest(port["id"]).id)
    cloud.comes_to(port["id"], "SUCCESS")
    assert "eth4" not in switch.ports


def retry(plugin: typing.Any, workflow_id: str) -> None:
    plugin.journal.retry(workflow_id)


@pytest.mark.parametrize("last", ["eth5", "eth6", None])
def test_switch_port_plugged_unplugged_and_plugged_while_the_switch_was_down(
    cloud: clouds.Cloud, switch: Switch, network: Json, last: str | None
) -> None:
    """In the end the switch is as the last call says, and nothing is left where it was before."""
    port = cloud.create("port", network_id=network["id"], **plugged_at("eth5"))
    cloud.comes_to(port["id"], "SUCCESS")
    switch.fail()
    cloud.update("port", port["id"], **UNPLUGGED)
    cloud.update("port", port["id"], **plugged_at("eth7"))
    cloud.update("port", port["id"], **UNPLUGGED)
    if last:
        cloud.update("port", port["id"], **plugged_at(last))
    cloud.comes_to(port["id"], "FAILED")
    assert cloud.show("port", port["id"])["sync_state"] == "ERROR"
    switch.work()
    cloud.call(retry, cloud.latest(port["id"]).id)
    cloud.comes_to(port["id"], "SUCCESS")
    used = {name: vlan for name, vlan in switch.ports.items() if name in ("eth5", "eth6", "eth7")}
    assert used == ({last: vlan_of(network)} if last else {})
    shown = cloud.show("port", port["id"])
    assert (shown["status"], shown["sync_state"]) == ("ACTIVE" if last else "DOWN", "SYNCED")
    cloud.delete("port", port["id"])


def test_port_deleted_after_a_move_that_failed_leaves_both_places(
    cloud: clouds.Cloud, switch: Switch, network: Json
) -> None:
    port = cloud.create("port", network_id=network["id"], **plugged_at("eth8"))
    cloud.comes_to(port["id"], "SUCCESS")
    switch.fail()
    cloud.update("port", port["id"], **plugged_at("eth9"))
    cloud.comes_to(port["id"], "FAILED")
    cloud.delete("port", port["id"])
    switch.work()
    cloud.settles()
    if cloud.latest(port["id"]).state == "FAILED":  # the delete's attempts were over before that
        cloud.call(retry, cloud.latest(port["id"]).id)
    cloud.comes_to(port["id"], "SUCCESS")
    assert not switch.ports.keys() & {"eth8", "eth9"}


def test_switch_port_given_to_another_port_while_the_switch_was_down_is_that_ones(
    patient_cloud: clouds.Cloud,
) -> None:
    """As Ironic does: away from one network, on to the next, without a word about the switch."""
    cloud, switch = patient_cloud, Switch(patient_cloud)
    provisioning, tenants = cloud.create("network"), cloud.create("network")
    first = cloud.create("port", network_id=provisioning["id"], **plugged_at("eth1"))
    cloud.settles()
    switch.fail()
    cloud.delete("port", first["id"])
    cloud.comes_to(first["id"], "RETRYING")
    second = cloud.create("port", network_id=tenants["id"], **plugged_at("eth1"))
    # Its create and its binding; the second may be looked at first.
    wait_until(
        lambda: set(cloud.states(second["id"])) == {"WAITING"},
        clouds.PATIENCE_S,
        lambda: f"both to be WAITING: {cloud.states(second['id'])}",
    )
    assert cloud.workflows(second["id"])[0].blocked_by == cloud.latest(first["id"]).id
    switch.work()
    cloud.settles()
    assert switch.ports == {"eth1": vlan_of(tenants)}
    assert switch.commands[-2:] == [
        "delete port eth1",
        f"plug port eth1 to network {vlan_of(tenants)}",
    ]
    shown = cloud.show("port", second["id"])
    assert (shown["status"], shown["sync_state"]) == ("ACTIVE", "SYNCED")
    cloud.delete("port", second["id"])
    cloud.settles()


@pytest.mark.parametrize("last", [None, "eth3"])
def test_switch_port_that_was_tried_in_vain_and_left_again_is_unplugged(
    patient_cloud: clouds.Cloud, last: str | None
) -> None:
    """Of the attempt nobody knows but the switch: it took the command, and its answer was lost."""
    cloud, switch = patient_cloud, Switch(patient_cloud)
    network = cloud.create("network")
    port = cloud.create("port", network_id=network["id"])
    cloud.settles()
    switch.lose_answers()
    cloud.update("port", port["id"], **plugged_at("eth2"))
    cloud.comes_to(port["id"], "RETRYING")
    switch.fail()
    assert "eth2" in switch.ports
    cloud.update("port", port["id"], **(plugged_at(last) if last else UNPLUGGED))
    switch.work()
    cloud.settles()
    assert switch.ports == ({last: vlan_of(network)} if last else {})
    cloud.delete("port", port["id"])
    cloud.settles()
    assert switch.ports == {}


#: How a port that failed to leave its switch port is looked at again.
AGAIN: dict[str, typing.Callable[[clouds.Cloud, str], typing.Any]] = {
    "changed": lambda cloud, port_id: cloud.update("port", port_id, name="later"),
    "deleted": lambda cloud, port_id: cloud.delete("port", port_id),
    "retried": lambda cloud, port_id: cloud.call(retry, cloud.latest(port_id).id),
}


@pytest.mark.parametrize("how", AGAIN)
def test_switch_port_of_another_is_left_alone_by_a_port_that_failed_to_leave_it(
    cloud: clouds.Cloud, switch: Switch, network: Json, how: str
) -> None:
    port = cloud.create("port", network_id=network["id"], **plugged_at("eth10", "eth11"))
    cloud.comes_to(port["id"], "SUCCESS")
    switch.fail()
    cloud.update("port", port["id"], **UNPLUGGED)
    cloud.comes_to(port["id"], "FAILED")
    switch.work()
    other = cloud.create("network")
    second = cloud.create("port", network_id=other["id"], **plugged_at("eth10"))
    cloud.comes_to(second["id"], "SUCCESS")

    AGAIN[how](cloud, port["id"])
    cloud.comes_to(port["id"], "SUCCESS")
    assert switch.ports["eth10"] == vlan_of(other)
    assert "eth11" not in switch.ports  # nobody else's
    shown = cloud.show("port", second["id"])
    assert (shown["status"], shown["sync_state"]) == ("ACTIVE", "SYNCED")
    for each in (port, second):
        cloud.delete("port", each["id"])
    cloud.settles()
    assert not switch.ports.keys() & {"eth10", "eth11"}


def test_switch_port_of_another_is_left_alone_by_a_failed_delete_that_is_retried(
    cloud: clouds.Cloud, switch: Switch, network: Json
) -> None:
    port = cloud.create("port", network_id=network["id"], **plugged_at("eth12"))
    cloud.comes_to(port["id"], "SUCCESS")
    switch.fail()
    cloud.delete("port", port["id"])
    cloud.comes_to(port["id"], "FAILED")
    switch.work()
    other = cloud.create("network")
    second = cloud.create("port", network_id=other["id"], **plugged_at("eth12"))
    cloud.comes_to(second["id"], "SUCCESS")
    cloud.call(retry, cloud.latest(port["id"]).id)
    cloud.comes_to(port["id"], "SUCCESS")
    assert switch.ports["eth12"] == vlan_of(other)
    cloud.delete("port", second["id"])


def test_trunks_beside_it_are_refused_at_start_by_name(tmp_path: pathlib.Path) -> None:
    """Its handler of subports talks to the switch in the API call."""
    trunk = "[DEFAULT]\nservice_plugins = trunk\n"
    with (
        pytest.raises(RuntimeError, match="does not cover trunk driver genericswitch"),
        clouds.running(
            tmp_path, mechanism_drivers="genericswitch", configuration=CONFIGURATION + trunk
        ),
    ):
        pass
