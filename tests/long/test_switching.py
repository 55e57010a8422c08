# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A cloud of many ports goes from stock's plugin to ours and back, on MariaDB and OVN.

One story for all tests: what was seen on the way is kept, and each test says what it must be.
"""

import collections.abc
import contextlib
import dataclasses
import io
import json
import multiprocessing
import pathlib
import re
import subprocess
import sys
import typing
from concurrent import futures

import pytest

from benchmarks import seeds
from lab import client, neutron, ovn, processes, waiting
from lab.databases import pool
from lab.demo import compare, northbound, routing
from lab.neutron import schema
from networking_workflow.cmd import status
from tests.functional.promises import cloud as clouds

Json = dict[str, typing.Any]

PORTS = 1000

#: Ports made in OVN by one call: a command's argument has 128 KiB at most.
_BATCH = 100

_SYNC = ("sync_state", "sync_error", "sync_updated_at")

KINDS = ("networks", "subnets", "ports", "security_groups", "routers", "floatingips")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """How a run of ``neutron-workflow-status check`` ended."""

    code: int
    said: dict[str, str]  #: what is no success, by check
    output: str


@dataclasses.dataclass(kw_only=True)
class Seen:
    """What was seen at each station."""

    stock: Json = dataclasses.field(default_factory=dict)  #: listings at the end of the station
    arrived: Json = dataclasses.field(default_factory=dict)
    unmanaged: int = 0
    changed: Json = dataclasses.field(default_factory=dict)
    back: Json = dataclasses.field(default_factory=dict)
    differences: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    failed: list[typing.Any] = dataclasses.field(default_factory=list)
    checks: dict[str, Check] = dataclasses.field(default_factory=dict)
    unreadable: int = 0  #: how a check without its files ended
    of_stock: set[str] = dataclasses.field(default_factory=set)  #: changed by ours
    of_ours: set[str] = dataclasses.field(default_factory=set)  #: made by ours


class Story:
    """The cloud's database and OVN, and a deployment with either plugin."""

    def __init__(self, stack: contextlib.ExitStack, databases: pool.Pool) -> None:
        self.stack = stack
        self.ovn = stack.enter_context(ovn.OvnCentral())
        self.ovn.add_chassis("chassis-1", "compute-1")
        self.database = stack.enter_context(databases.blank("mariadb"))
        schema.create(self.database, workflow=False)
        # A process for each check, since it reads its configuration once; none imports Neutron
        # again.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([status.__name__])
        self._checker = stack.enter_context(
            futures.ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1)
        )
        self._checker.submit(int)  # it imports while Neutron starts
        self.seen = Seen()
        self.stock, self.ours = (self._deploy(name) for name in ("ml2", "ml2_workflow"))

    def _deploy(self, core_plugin: str) -> clouds.Cloud:
        profile = neutron.Profile(
            database_url=self.database.url,
            core_plugin=core_plugin,
            mechanism_drivers=("ovn",),
            service_plugins=("ovn-router", "port_forwarding", "qos"),
            extension_drivers=("port_security", "qos"),
            ovn=self.ovn,
            workflow={} if core_plugin == "ml2" else clouds.TAKE_OVER,
            tenants=True,
        )
        deployment = self.stack.enter_context(neutron.Deployment(profile))
        return clouds.Cloud(deployment, self.stack, None)

    def check(self, station: str, *options: str) -> None:
        """Make the checks with the configuration of ours, and keep how they ended."""
        code, output = self.checked(*self._files(self.ours), "check", "--json", *options)
        found = json.loads(output)["checks"]
        self.seen.checks[station] = Check(
            code=code,
            said={one["check"]: one["details"] for one in found if one["result"]},
            output=output,
        )

    def checked(self, *words: str) -> tuple[int, str]:
        """Run the command; return how it ends, and what it prints."""
        return self._checker.submit(_check, list(words)).result()

    def migrate(self) -> None:
        """Make the journal's tables, as an operator does."""
        manage = pathlib.Path(sys.executable).with_name("neutron-db-manage")
        options = ("--subproject", "networking-workflow", "upgrade", "heads")
        subprocess.run(
            [sys.executable, manage, *self._files(self.ours), *options],
            cwd=schema.REPOSITORY,
            capture_output=True,
            check=True,
        )

    @staticmethod
    def _files(cloud: clouds.Cloud) -> list[str]:
        files = cloud.deployment.config_files("operator")
        return [word for file in files for word in ("--config-file", str(file))]

    def look(self, cloud: clouds.Cloud, station: str) -> Json:
        """Return all that the API lists, by kind and id; keep what OVN holds otherwise.

        Only when OVN has told Neutron that routers' interfaces are up: that changes their rows.
        """
        admin = cloud.client()

        def states() -> set[str]:
            ports = admin.list("ports", device_owner=routing.INTERFACE_OWNER)
            return {port["status"] for port in ports}

        waiting.wait_until(
            lambda: states() == {"ACTIVE"},
            clouds.PATIENCE_S,
            lambda: f"routers' interfaces to be ACTIVE; they are {states()}",
        )
        said = compare.listed(clouds.Caller(cloud))
        found = compare.compare(said, northbound.read(self.ovn.nbctl))
        self.seen.differences[station] = found.differences
        return {kind: {one["id"]: one for one in getattr(said, kind)} for kind in KINDS}

    def seed(self, port: Json) -> None:
        """Make copies of a port, in Neutron's database and in OVN, so that there are enough."""
        admin = self.stock.client()
        number = PORTS - len(admin.list("ports"))
        with contextlib.closing(seeds.Seeds(self.database.url, recorded=False)) as copies:
            copies.copy(port, number)
        like = admin.list("ports", name=port["name"])
        copied = [one for one in like if one["id"] != port["id"]]
        assert len(copied) == number
        for start in range(0, number, _BATCH):
            self._copy_in_ovn(port, copied[start : start + _BATCH])

    def _copy_in_ovn(self, port: Json, copies: list[Json]) -> None:
        table = ("--format=json", "list", "Logical_Switch_Port", port["id"])
        found = json.loads(self.ovn.nbctl(*table))
        row = dict(zip(found["headings"], found["data"][0], strict=True))
        own = row.pop("_uuid")[1]
        row = {name: value for name, value in row.items() if name != "up"}
        inserts = [
            {
                "op": "insert",
                "table": "Logical_Switch_Port",
                "uuid-name": f"copy{number}",
                "row": json.loads(_as_copy(json.dumps(row), port, copy)),
            }
            for number, copy in enumerate(copies)
        ]
        named = ["set", [["named-uuid", one["uuid-name"]] for one in inserts]]
        joins = [
            {
                "op": "mutate",
                "table": holder,
                "where": [["ports", "includes", ["uuid", own]]],
                "mutations": [["ports", "insert", named]],
            }
            for holder in ("Logical_Switch", "Port_Group")
        ]
        program = processes.find_program("ovsdb-client", package="openvswitch-common")
        transaction = json.dumps(["OVN_Northbound", *inserts, *joins])
        done = subprocess.run(
            [program, "transact", self.ovn.nb_connection, transaction],
            capture_output=True,
            text=True,
            check=True,
        )
        assert "error" not in done.stdout, done.stdout


def _check(words: list[str]) -> tuple[int, str]:
    """Return how ``neutron-workflow-status`` ends, and what it prints; in a process of its own."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        code = status.main(words)
    return code, printed.getvalue()


def _as_copy(row: str, port: Json, copy: Json) -> str:
    """Return the row of ``port``, as JSON, with what is another of ``copy``."""
    (address,), (other,) = (
        [one["ip_address"] for one in which["fixed_ips"]] for which in (port, copy)
    )
    row = row.replace(port["id"], copy["id"]).replace(port["mac_address"], copy["mac_address"])
    return re.sub(rf"{re.escape(address)}(?!\d)", other, row)


def stocks(listing: typing.Any) -> typing.Any:
    """Return of a listing what stock shows, too; lists have no order."""
    if isinstance(listing, dict):
        return {name: stocks(value) for name, value in listing.items() if name not in _SYNC}
    return sorted(map(stocks, listing), key=str) if isinstance(listing, list) else listing


def differences(before: Json, after: Json) -> list[tuple[str, ...]]:
    """Return kind, id, field and both values of what two listings say of a resource otherwise."""
    before, after = stocks(before), stocks(after)
    return [
        (kind, key, field, repr(one.get(field)), repr(other.get(field)))
        for kind in KINDS
        for key in before[kind].keys() | after[kind].keys()
        for one, other in [(before[kind].get(key, {}), after[kind].get(key, {}))]
        for field in one.keys() | other.keys()
        if one.get(field) != other.get(field)
    ]


def subnet_on(admin: client.Client, network: Json, cidr: str) -> Json:
    """Make a subnet with a name server: without one, OVN's own resolver stands in."""
    servers = ["192.0.2.53"]
    return admin.create(
        "subnets", network_id=network["id"], ip_version=4, cidr=cidr, dns_nameservers=servers
    )


def make(story: Story) -> Json:
    """Make under stock one of each, and the ports; return what is to be changed."""
    admin, caller = story.stock.client(), clouds.Caller(story.stock)
    external = admin.create("networks", name="external", **{"router:external": True})
    subnet_on(admin, external, "203.0.113.0/24")
    network = admin.create("networks", name="inner")
    subnet = subnet_on(admin, network, "10.8.0.0/20")
    group = admin.create("security-groups", name="web")
    rule = {"security_group_id": group["id"], "direction": "ingress", "ethertype": "IPv4"}
    http = admin.create("security-group-rules", protocol="tcp", **rule)
    router = admin.create("routers", external_gateway_info={"network_id": external["id"]})
    caller.call("PUT", f"routers/{router['id']}/add_router_interface", subnet_id=subnet["id"])
    spare = admin.create("networks", name="spare")
    subnet_on(admin, spare, "10.9.0.0/24")
    lone = admin.create("ports", network_id=spare["id"])
    # Its address is the first, so that those after it are free.
    first = {"network_id": network["id"], "name": "vm", "security_groups": [group["id"]]}
    port = admin.create(
        "ports", fixed_ips=[{"subnet_id": subnet["id"], "ip_address": "10.8.1.1"}], **first
    )
    floating = admin.create("floatingips", floating_network_id=external["id"], port_id=port["id"])
    story.seed(port)
    return {
        **{"network": network, "subnet": subnet, "group": group, "http": http, "router": router},
        **{"spare": spare, "lone": lone, "port": port, "floating": floating},
    }


def change(story: Story, made: Json) -> None:
    """Change under ours what stock has made: something of each kind."""
    admin, caller = story.ours.client(), clouds.Caller(story.ours)
    network, subnet = made["network"]["id"], made["subnet"]["id"]
    ports = sorted(one for one, port in story.seen.stock["ports"].items() if port["name"] == "vm")
    off, moved, bare, target, gone, *_ = (one for one in ports if one != made["port"]["id"])
    admin.update("ports", off, admin_state_up=False, name="off")
    admin.update("ports", moved, fixed_ips=[{"subnet_id": subnet, "ip_address": "10.8.15.9"}])
    admin.update("ports", bare, security_groups=[], port_security_enabled=False)
    admin.delete("ports", gone)
    admin.update("subnets", subnet, dns_nameservers=["9.9.9.9"])
    admin.update("security-groups", made["group"]["id"], name="ssh")
    admin.delete("security-group-rules", made["http"]["id"])
    admin.update("floatingips", made["floating"]["id"], port_id=target)
    admin.update("routers", made["router"]["id"], admin_state_up=False)
    admin.delete("ports", made["lone"]["id"])
    admin.delete("networks", made["spare"]["id"])
    new = admin.create("networks", name="new")
    new_subnet = subnet_on(admin, new, "10.7.0.0/24")
    router = f"routers/{made['router']['id']}"
    caller.call("PUT", f"{router}/add_router_interface", subnet_id=new_subnet["id"])
    of_ours = [admin.create("ports", network_id=new["id"], name=name) for name in ("a", "b")]
    of_ours.append(admin.create("ports", network_id=network, name="c"))
    story.seen.of_stock = {off, moved, bare, network, subnet, made["group"]["id"]}
    story.seen.of_stock |= {made["floating"]["id"], made["router"]["id"]}
    story.seen.of_ours = {one["id"] for one in (new, new_subnet, *of_ours)}


def change_back(story: Story) -> None:
    """Change under stock what ours has made, and make something."""
    admin = story.stock.client()
    ports = {port["name"]: port for port in story.seen.changed["ports"].values()}
    admin.update("ports", ports["a"]["id"], admin_state_up=False)
    admin.update("ports", ports["off"]["id"], admin_state_up=True)
    admin.delete("ports", ports["b"]["id"])
    admin.create("ports", network_id=ports["c"]["network_id"], name="d")


@pytest.fixture(scope="module")
def seen(database_pool: pool.Pool) -> collections.abc.Iterator[Seen]:
    with contextlib.ExitStack() as stack:
        story = Story(stack, database_pool)
        tell(story)
        yield story.seen


def tell(story: Story) -> None:
    """Go over and back; keep what was seen."""
    seen, stock, ours = story.seen, story.stock, story.ours
    api = stock.add_api()
    made = make(story)
    seen.stock = story.look(stock, "stock")
    story.check("no tables")
    seen.unreadable, _ = story.checked("--config-file", str(api.log_path) + ".conf", "check")
    api.stop()

    story.migrate()
    story.check("migrated")
    ours.add_api()
    seen.arrived = story.look(ours, "arrived")
    seen.unmanaged = len(ours.client().list("ports", sync_state="UNMANAGED"))
    change(story, made)
    ours.settles()
    story.ovn.stop_nb()
    ours.client().update("networks", made["network"]["id"], name="renamed")
    story.check("queued, back", "--back")
    story.ovn.start_nb()
    ours.settles()
    seen.failed = ours.failed()
    seen.changed = story.look(ours, "changed")
    story.check("drained")
    story.check("drained, back", "--back")

    stock.apis.clear()
    stock.add_api()
    seen.back = story.look(stock, "back")
    change_back(story)
    story.check("stock beside ours")
    story.look(stock, "changed back")


def test_all_ports_of_stock_are_there_as_they_were(seen: Seen) -> None:
    assert len(seen.stock["ports"]) == PORTS
    assert not any(_SYNC[0] in one for one in seen.stock["ports"].values())
    assert differences(seen.stock, seen.arrived) == []


def test_what_stock_made_is_unmanaged_until_it_is_changed(seen: Seen) -> None:
    arrived = [one for kind in KINDS for one in seen.arrived[kind].values()]
    assert {tuple(one[name] for name in _SYNC) for one in arrived} == {("UNMANAGED", None, None)}
    assert seen.unmanaged == PORTS
    after = {key: one for kind in KINDS for key, one in seen.changed[kind].items()}
    changed = seen.of_stock | seen.of_ours
    assert {after[key]["sync_state"] for key in changed} == {"SYNCED"}
    copies = [one for one in seen.changed["ports"].values() if one["name"] == "vm"]
    untouched = [one for one in copies if one["id"] not in changed]
    assert len(untouched) > PORTS / 2
    assert {one["sync_state"] for one in untouched} == {"UNMANAGED"}


@pytest.mark.parametrize("station", ["stock", "arrived", "changed", "back", "changed back"])
def test_ovn_holds_what_neutron_says_at_each_station(seen: Seen, station: str) -> None:
    assert seen.failed == []
    assert seen.differences[station] == []


def test_stock_finds_what_ours_has_changed(seen: Seen) -> None:
    assert seen.back["ports"].keys() & seen.of_ours
    assert differences(seen.changed, seen.back) == []


def test_check_wants_the_tables_first(seen: Seen) -> None:
    check = seen.checks["no tables"]
    assert check.code == 2
    assert "--subproject networking-workflow upgrade heads" in check.said["Database"]


def test_way_back_is_refused_while_anything_is_queued(seen: Seen) -> None:
    check = seen.checks["queued, back"]
    assert (check.code, list(check.said)) == (2, ["Queue"])
    assert check.said["Queue"].startswith("Not over: 1 workflow (")


@pytest.mark.parametrize("station", ["migrated", "drained", "drained, back"])
def test_check_has_nothing_to_say_of_a_cloud_that_may_go(seen: Seen, station: str) -> None:
    check = seen.checks[station]
    assert (check.code, check.said) == (0, {}), check.output


def test_check_tells_that_stock_works_beside_ours(seen: Seen) -> None:
    check = seen.checks["stock beside ours"]
    assert (check.code, list(check.said)) == (2, ["Changes without a workflow"])
    assert "(1 in ports), the last at" in check.said["Changes without a workflow"]
    assert "; 1 were deleted so:" in check.said["Changes without a workflow"]


def run(deployment: neutron.Deployment, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command as an operator does."""
    files = [f"--config-file={file}" for file in deployment.config_files("operator")]
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", status.__name__, *files, *words],
        cwd=schema.REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )


def test_check_says_all_that_is_wrong_at_once_and_no_secret() -> None:
    port = processes.free_port()
    profile = neutron.Profile(
        database_url=f"mysql+pymysql://neutron:hunter2@127.0.0.1:{port}/neutron",
        mechanism_drivers=("ovn", "macvtap"),
        service_plugins=("router",),
        workflow={"conductr": "embedded"},
        options={"service_providers": {"service_provider": "L3_ROUTER_NAT:dvr:x.Dvr"}},
    )
    with neutron.Deployment(profile) as deployment:
        done = run(deployment, "check")
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stdout.count("Result: Failure") == 4
    for words in ("'router' in service_plugins", "'macvtap'", "provider dvr", "conductr"):
        assert words in done.stdout
    assert "127.0.0.1' ([Errno 111]" in done.stdout
    assert "hunter2" not in done.stdout + done.stderr


def test_check_that_cannot_read_its_configuration_ends_with_255(seen: Seen) -> None:
    assert seen.unreadable == status.NOT_LOOKED
