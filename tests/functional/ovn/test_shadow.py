# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""In the mode ``shadow`` OVN holds what stock writes, and the driver looks and writes nothing.

That all is as with stock is tested in ``test_as_stock``.
"""

import collections.abc
import contextlib
import dataclasses
import re
import types
import typing

import pytest
from neutron.plugins.ml2 import managers
from neutron_lib.callbacks import events, registry, resources
from neutron_lib.callbacks import manager as callbacks_manager
from neutron_lib.plugins import directory
from neutron_lib.plugins.ml2 import api
from stevedore import extension

from lab import ovn as lab_ovn
from lab.databases import pool
from lab.neutron import config as lab_config
from networking_workflow.capture import plugin as capture_plugin
from networking_workflow.drivers import shadow
from networking_workflow.drivers.ovn import comparing, connections, idls
from networking_workflow.model import errors
from networking_workflow.model.modes import Mode
from tests.functional.capture import inprocess
from tests.functional.ovn import cloud, logged, routed, script


class Ml2Plugin(capture_plugin.CapturingMl2Plugin):
    """The core plugin in this mode, without the API of its own."""

    mode = Mode.SHADOW


class Neutron(cloud.Neutron):
    core_plugin = f"{__name__}.Ml2Plugin"


class RoutedNeutron(routed.Neutron):
    """With every service plugin whose backend work is covered."""

    core_plugin = f"{__name__}.Ml2Plugin"

    def profile(self) -> lab_config.Profile:
        services = ("ovn-router", "qos", "port_forwarding", "trunk", "log")
        return dataclasses.replace(
            super().profile(),
            service_plugins=services,
            extension_drivers=("port_security", "qos", "dns"),
            options={"DEFAULT": {"dns_domain": "example.org."}},
        )


class Conductor(cloud.Conductor):
    """Compares what is recorded, each change once."""

    def __init__(self, neutron: cloud.Neutron) -> None:
        super().__init__(neutron)
        self.comparing = comparing.OvnComparing(
            neutron.mech_driver, plugin=neutron.plugin, timeout_s=cloud.TIMEOUT_S
        )
        self.driver = shadow.ShadowDriver(self.comparing)

    def close(self) -> None:
        self.comparing.close()

    def run(self, row: typing.Any) -> None:
        """Leave what was deleted later to its delete, as a conductor does."""
        deletes = {one.resource_id for one in self.waiting() if one.operation == "delete"}
        if row.operation == "delete" or row.resource_id not in deletes:
            super().run(row)
        self.done.add(row.id)

    def look(self, kind: str, resource_id: str) -> str:
        """Return what is found to differ, "" if nothing does."""
        try:
            self.apply(kind, resource_id)
        except errors.BackendDrifted as drifted:
            return drifted.detail
        return ""

    def found(self) -> str:
        """Compare whatever is recorded; return all that differs."""
        found = []
        for row in self.waiting():
            try:
                self.run(row)
            except errors.BackendDrifted as drifted:
                found.append(f"{row.operation} {row.resource_type}: {drifted.detail}")
            self.done.add(row.id)
        return "\n".join(found)


@pytest.fixture(scope="module")
def ovn() -> collections.abc.Iterator[lab_ovn.OvnCentral]:
    with lab_ovn.OvnCentral() as running:
        running.add_chassis("ch1", "cmp1")
        yield running


@contextlib.contextmanager
def unwritten(ovn: lab_ovn.OvnCentral) -> collections.abc.Iterator[None]:
    """Fail if the northbound's server commits anything within the block."""
    ovn.nbctl("--wait=sb", "sync")  # northd has nothing left to write
    file = ovn.folder.path / "ovnnb.db"  # a log of transactions
    before = file.stat().st_size
    yield
    assert file.stat().st_size == before


def test_looking_commits_nothing_to_ovn_and_nothing_to_neutrons_tables(
    database_pool: pool.Pool, ovn: lab_ovn.OvnCentral
) -> None:
    with cloud.driven(Neutron, Conductor, database_pool, ovn) as (neutron, conductor):
        script.Script(neutron).run()
        with unwritten(ovn), inprocess.statements() as seen:
            assert len(conductor.drain()) > 80
        # The ring is another thread's: who is alive.
        writing = re.compile(r"(INSERT|UPDATE|DELETE)\b(?!.*\bovn_hash_ring\b)")
        assert [one.text for one in seen if writing.match(one.text)] == []
        port = neutron.call("GET", "ports")["ports"][0]["id"]
        ovn.nbctl("lsp-del", port)
        with unwritten(ovn):
            assert conductor.look("port", port) == f"Logical_Switch_Port {port} is not there"


def test_its_connections_take_no_transaction(ovn: lab_ovn.OvnCentral, world: "World") -> None:
    looking = connections.Connections(cloud.TIMEOUT_S, read_only=True)
    with contextlib.closing(looking), unwritten(ovn), pytest.raises(idls.ReadOnly):
        looking.get().nb.ls_add("written").execute(check_error=True)


class World(routed.World):
    """A routed cloud in this mode."""

    neutron: RoutedNeutron
    conductor: Conductor


@pytest.fixture(scope="module")
def world(database_pool: pool.Pool, ovn: lab_ovn.OvnCentral) -> collections.abc.Iterator[World]:
    with cloud.driven(RoutedNeutron, Conductor, database_pool, ovn) as (neutron, conductor):
        made = World(neutron, conductor)
        assert conductor.found() == ""
        yield made
        assert conductor.found() == ""


def test_stocks_manager_calls_the_drivers(world: World) -> None:
    for name in ("create_port_postcommit", "update_network_postcommit", "delete_subnet_postcommit"):
        manager = type(world.neutron.plugin.mechanism_manager)
        assert getattr(manager, name) is getattr(managers.MechanismManager, name)


class Impatient(api.MechanismDriver):
    """Does not wait to be called."""

    def initialize(self) -> None:
        """Nothing to set up."""

    def port_changed(self, resource: str, event: str, trigger: object, payload: object) -> None:
        """Program something at once."""


def hear(world: World, patch: pytest.MonkeyPatch) -> None:
    driver, manager = Impatient(), world.neutron.plugin.mechanism_manager
    entry = extension.Extension("impatient", None, None, driver)
    patch.setattr(manager, "ordered_mech_drivers", [*manager.ordered_mech_drivers, entry])
    patch.setattr(registry, "_CALLBACK_MANAGER", callbacks_manager.CallbacksManager())
    registry.subscribe(driver.port_changed, resources.PORT, events.AFTER_UPDATE)


def service(name: str) -> typing.Any:
    return directory.get_plugin(name)


#: What is loaded besides -> how, and what is said of it.
UNCOVERED: dict[str, tuple[typing.Callable[[World, pytest.MonkeyPatch], None], str]] = {
    "a mechanism driver that hears of changes": (hear, "'impatient' (port_changed)"),
    "a provider of routers": (
        lambda _, patch: patch.setitem(
            service("L3_ROUTER_NAT").l3_driver_controller.drivers, "mine", object()
        ),
        "service_provider mine, only ovn",
    ),
    "a driver of trunks": (
        lambda _, patch: patch.setattr(service("trunk"), "_drivers", [OTHER]),
        "trunk driver other, only ovn",
    ),
    "a driver of QoS": (
        lambda _, patch: patch.setattr(service("QOS").driver_manager, "_drivers", [OTHER]),
        "QoS driver other, only OVNQosDriver",
    ),
    "a driver of logging": (
        lambda _, patch: patch.setattr(service("LOGGING").driver_manager, "_drivers", [OTHER]),
        "logging driver other, only ovn",
    ),
}

OTHER = types.SimpleNamespace(name="other", is_loaded=True)


@pytest.mark.parametrize("name", UNCOVERED)
def test_what_will_not_be_driven_is_refused_by_name(
    world: World,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    load, text = UNCOVERED[name]
    load(world, monkeypatch)
    with pytest.raises(SystemExit):
        world.neutron.plugin.service_plugins_loaded()
    assert text in capsys.readouterr().err


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Damage:
    """What is done to a row that stock has written, and what is said of it."""

    kind: str
    resource_id: str
    do: tuple[str, ...]  #: of ovn-nbctl
    undo: tuple[str, ...]
    said: str


def damages(world: World) -> list[Damage]:
    """Make one of each kind of service plugins; return what may be damaged of it."""
    neutron, find = world.neutron, world.find
    floating, forwarded = world.floatingip(port_id=world.other)["id"], world.floatingip()["id"]
    forwarding = world.forwarding(forwarded, external_port=8080, internal_port=80)
    parent, child = (neutron.create("port", network_id=world.network)["id"] for _ in range(2))
    subport = {"port_id": child, "segmentation_type": "vlan", "segmentation_id": 101}
    trunk = neutron.create("trunk", port_id=parent, sub_ports=[subport])["id"]
    policy = neutron.policy(bandwidth_limit={"max_kbps": 1000, "max_burst_kbps": 800})
    neutron.update("port", world.port, qos_policy_id=policy)
    log = logged.make(neutron, event="DROP")
    assert world.conductor.found() == ""
    owner = {"device_id": [world.router], "device_owner": ["network:router_interface"]}
    (interface,) = (one["id"] for one in neutron.plugin.get_ports(neutron.context(), owner))
    nat = find("NAT", f'external_ids:neutron\\:fip_id="{floating}"')
    balancer = find("Load_Balancer", f'external_ids:neutron\\:fip_id="{forwarded}"')
    limit = world.find_qos("neutron:port_id", world.port, "from-lport")
    acl = world.neutron.ovn.nbctl("--bare", "--columns=_uuid", "find", "ACL", "log=true").split()[0]

    def damage(kind: str, resource_id: str, row: str, change: str, said: str) -> Damage:
        table, record = row.split(" ")
        column, _, value = change.partition("=")
        was = world.neutron.ovn.nbctl("get", table, record, column).strip()
        return Damage(
            kind=kind,
            resource_id=resource_id,
            do=("set", table, record, f"{column}={value}"),
            undo=("set", table, record, f"{column}={was}"),
            said=said,
        )

    lsp, router = "Logical_Switch_Port", f"Logical_Router neutron-{world.router}"
    return [
        damage("router", world.router, router, "enabled=false", "enabled is False, expected True"),
        damage(
            *("router_interface", interface, f"Logical_Router_Port lrp-{interface}"),
            *('mac="0a:00:00:00:00:01"', "mac is '0a:00:00:00:00:01', expected '"),
        ),
        damage("floatingip", floating, f"NAT {nat}", "logical_ip=10.9.9.9", "logical_ip is '10.9"),
        damage(
            *("port_forwarding", forwarding, f"Load_Balancer {balancer}"),
            *("protocol=udp", "protocol is 'udp', expected 'tcp'"),
        ),
        damage("trunk", trunk, f"{lsp} {child}", "parent_name=x", "parent_name is 'x', expected"),
        damage("subport", child, f"{lsp} {child}", "tag_request=7", "tag_request is 7, expected"),
        damage(
            *("qos_policy", policy, f"QoS {limit}", "priority=7"),
            f"port {world.port} is not as this change wants it",
        ),
        damage("log", log, f"ACL {acl}", "log=false", "log is False, expected True"),
    ]


def test_what_is_damaged_of_service_plugins_resources_is_found(world: World) -> None:
    for damage in damages(world):
        world.neutron.ovn.nbctl(*damage.do)
        assert damage.said in world.conductor.look(damage.kind, damage.resource_id), damage
        world.neutron.ovn.nbctl(*damage.undo)
        assert world.conductor.look(damage.kind, damage.resource_id) == "", damage
    delete_floatingips(world)
    logged.remove(world.neutron, damage.resource_id)


def delete_floatingips(world: World) -> None:
    neutron = world.neutron
    for one in neutron.call("GET", "floatingips")["floatingips"]:
        place = f"floatingips/{one['id']}/port_forwardings"
        for forwarding in neutron.call("GET", place)["port_forwardings"]:
            neutron.delete_forwarding(one["id"], forwarding["id"])
        neutron.delete("floatingip", one["id"])


def test_all_that_service_plugins_do_compares_equal(world: World) -> None:
    neutron, found = world.neutron, world.conductor.found
    policy = neutron.policy(bandwidth_limit={"max_kbps": 1000, "max_burst_kbps": 800})
    neutron.update("port", world.port, qos_policy_id=policy)
    assert found() == ""
    neutron.update("network", world.network, qos_policy_id=policy)
    assert found() == ""
    floating = world.floatingip(port_id=world.other)["id"]
    forwarded = world.floatingip()["id"]
    forwarding = world.forwarding(forwarded, external_port=8080, internal_port=80)
    assert found() == ""
    neutron.delete_forwarding(forwarded, forwarding)
    assert found() == ""
    neutron.update("floatingip", floating, port_id=world.third)
    assert found() == ""
    neutron.update("router", world.router, routes=[ROUTE], name="renamed")
    assert found() == ""
    parent, child = (neutron.create("port", network_id=world.network)["id"] for _ in range(2))
    subport = {"port_id": child, "segmentation_type": "vlan", "segmentation_id": 101}
    trunk = neutron.create("trunk", port_id=parent, sub_ports=[subport])["id"]
    assert found() == ""
    neutron.call("PUT", f"trunks/{trunk}/remove_subports", {"sub_ports": [{"port_id": child}]})
    assert found() == ""
    neutron.delete("trunk", trunk)
    assert found() == ""
    log = logged.make(neutron, event="ALL")
    assert found() == ""
    logged.enable(neutron, log, False)
    assert found() == ""
    logged.remove(neutron, log)
    assert found() == ""
    delete_floatingips(world)
    neutron.update("network", world.network, qos_policy_id=None)
    assert found() == ""
    neutron.update("router", world.router, routes=[])
    interface = {"subnet_id": world.subnet}
    neutron.call("PUT", f"routers/{world.router}/remove_router_interface", interface)
    neutron.update("router", world.router, external_gateway_info={})
    neutron.delete("router", world.router)
    assert found() == ""


ROUTE = {"destination": "192.0.2.0/24", "nexthop": "10.1.0.9"}


def test_a_name_of_dns_that_is_left_is_found(world: World) -> None:
    neutron, ovn, found = world.neutron, world.neutron.ovn, world.conductor.found
    network = neutron.create("network", name="named")["id"]
    neutron.create("subnet", network_id=network, ip_version=4, cidr="10.3.0.0/24")
    port = neutron.create("port", network_id=network, dns_name="old", device_id="vm")
    assert found() == ""
    address = port["fixed_ips"][0]["ip_address"]
    records = world.find("DNS", f"external_ids:ls_name=neutron-{network}")
    assert address in ovn.nbctl("get", "DNS", records, "records:old")
    for name, change in (
        ("old", lambda: neutron.update("port", port["id"], dns_name="new")),
        ("new", lambda: neutron.delete("port", port["id"])),
    ):
        change()
        assert f'"{name}"' not in ovn.nbctl("get", "DNS", records, "records")
        ovn.nbctl("set", "DNS", records, f'records:{name}="{address}"')
        assert f"records:{name} is '{address}', expected absent" in found()


@pytest.mark.parametrize(
    ("kind", "left"),
    [
        ("network", ("ls-add", "neutron-{}")),
        ("port", ("lsp-add", "neutron_leaves", "{}")),
        ("security_group", ("pg-add", "pg_{}")),
    ],
)
def test_what_a_delete_leaves_is_found(world: World, kind: str, left: tuple[str, ...]) -> None:
    values = {"network_id": world.network} if kind == "port" else {}
    made = world.neutron.create(kind, **values)["id"]
    world.neutron.delete(kind, made)
    world.neutron.ovn.nbctl("--may-exist", "ls-add", "neutron_leaves")
    name = made.replace("-", "_") if kind == "security_group" else made
    world.neutron.ovn.nbctl(*(word.format(name) for word in left))
    found = world.conductor.found()
    assert found.startswith(f"delete {kind}: ")
    assert found.endswith(f"{left[-1].format(name)} is still there")
    world.neutron.ovn.nbctl("ls-del", "neutron_leaves")


def test_a_deleted_subnets_address_stays_on_the_metadata_port(world: World) -> None:
    """Stock does not write the port that loses an address with the subnet."""
    network = world.neutron.create("network", name="metadata")["id"]
    cidrs = ("10.4.0.0/24", "10.5.0.0/24")
    _kept, subnet = (
        world.neutron.create("subnet", network_id=network, ip_version=4, cidr=cidr)["id"]
        for cidr in cidrs
    )
    assert world.conductor.found() == ""
    world.neutron.delete("subnet", subnet)
    assert "update port: Logical_Switch_Port" in world.conductor.found()
