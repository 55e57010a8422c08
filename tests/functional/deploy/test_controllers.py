# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Three controllers on a Galera cluster that is written to at both of its nodes, with one OVN.

As docs/deploy.md describes them: on each an API server with two workers and a conductor beside it.
"""

import collections.abc
import contextlib
import dataclasses
import functools
import os
import signal
import threading

import pytest
import requests
import sqlalchemy as sa

from lab import client, databases, neutron, ovn
from lab.databases import galera, pool
from lab.demo import compare, northbound
from lab.neutron import deployed, schema
from networking_workflow.journal import tables
from tests.functional.deploy import page
from tests.functional.promises import cloud as clouds
from tests.waiting import wait_until

#: The node of the cluster that each controller is connected to. The first node goes on alone.
NODES = (0, 0, 1)

#: More than the eight that two conductors run at a time: the third has some of them, too.
HELD = 12

#: Reads of networks that have waited for a second.
WAITING_READS = (
    "SELECT 1 FROM information_schema.processlist WHERE time >= 1 AND info LIKE '%FROM networks%'"
    " AND id <> CONNECTION_ID()"
)

PORTS, ROUNDS = 2, 4

#: ``ovsdb_timeout_s``: longer than OVN is held here.
PATIENT_S = 120

#: More than ``drain_s``, less than a service manager's patience.
STOP_S = 35

#: Seconds for an answer of a controller whose database is away: Neutron goes on trying for long.
HANGS_S = 2


@dataclasses.dataclass(frozen=True)
class Controller:
    """One host: an API server and a conductor that read the same files."""

    host: str
    api: deployed.DeployedApi
    conductor: neutron.Conductor

    def launch(self) -> None:
        """Start what does not run."""
        for process in (self.api, self.conductor):
            if process.process is None:
                process.launch()

    def wait_ready(self) -> None:
        for process in (self.api, self.conductor):
            process.wait_ready()

    def kill(self) -> None:
        """SIGKILL all of it."""
        for process in (self.api, self.conductor):
            process.kill()


class Controllers:
    """The cluster, OVN, and the three controllers."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.cluster = stack.enter_context(databases.Galera())
        self.ovn = stack.enter_context(ovn.OvnCentral())
        urls = tuple(self.cluster.create_database("neutron"))
        schema.create(pool.Database(kind="galera", name="neutron", urls=urls, server=self.cluster))
        self.each = [
            self._controller(stack, f"controller-{number}", urls[node])
            for number, node in enumerate(NODES, start=1)
        ]
        self.cloud = clouds.Cloud(self.each[0].api.deployment, stack, None)
        self.cloud.apis = [one.api for one in self.each]

    def all_run(self) -> None:
        """Start what does not run, and return when all three can do their work."""
        for one in self.each:
            one.launch()
        for one in self.each:
            one.wait_ready()

    def held_by(self, one: Controller) -> list[str]:
        """Return the workflows that a controller's conductor is running."""
        workflow, conductor = tables.workflows.c, tables.conductors.c
        found = sa.select(workflow.id).join(
            tables.conductors, sa.and_(workflow.owner == conductor.id, conductor.host == one.host)
        )
        return [row.id for row in self.cloud.rows(found.where(workflow.state == "RUNNING"))]

    def registered(self, one: Controller) -> list[str]:
        """Return the states of every conductor that a controller has had, the oldest first."""
        table = tables.conductors.c
        found = sa.select(table.state).where(table.host == one.host).order_by(table.started_at)
        return [row.state for row in self.cloud.rows(found)]

    def ends(self, workflow_ids: list[str]) -> set[tuple[str, bool]]:
        """Return state of workflows, and whether more than one conductor has had them."""
        table = tables.workflows.c
        found = sa.select(table.state, table.fence > 1).where(table.id.in_(workflow_ids))
        return {(state, bool(again)) for state, again in self.cloud.rows(found)}

    def troubles(self) -> list[object]:
        """Return what has FAILED and what differs from OVN once every workflow is over."""
        self.cloud.settles()
        admin = self.cloud.client()
        kinds = ("networks", "subnets", "ports", "security-groups", "routers", "floatingips")
        said = compare.Cloud(*(admin.list(kind) for kind in kinds))
        for address in said.floatingips:
            address["port_forwardings"] = []  # their service plugin is not among the page's
        held = northbound.read(self.ovn.nbctl)
        return [*self.cloud.failed(), *compare.compare(said, held).differences]

    def _controller(self, stack: contextlib.ExitStack, host: str, url: str) -> Controller:
        profile = neutron.Profile(
            database_url=url,
            core_plugin="ml2_workflow",
            mechanism_drivers=("ovn",),
            service_plugins=("ovn-router",),
            ovn=self.ovn,
            workflow={
                **clouds.TAKE_OVER,
                "conductor": "separate",
                "ovsdb_timeout_s": PATIENT_S,
                "lease_s": 8,  # nine processes on one machine: none may be late with a renewal
            },
            options={"database": {"mysql_wsrep_sync_wait": 1}},
        )
        deployment = stack.enter_context(neutron.Deployment(profile))  # files of its own
        api = deployed.DeployedApi(deployment, "gunicorn", host=host)
        made = Controller(host, api, neutron.Conductor(deployment, host=host))
        stack.callback(made.kill)
        return made


@pytest.fixture(scope="module")
def started() -> collections.abc.Iterator[Controllers]:
    with contextlib.ExitStack() as stack:
        yield Controllers(stack)


@pytest.fixture
def controllers(started: Controllers) -> collections.abc.Iterator[Controllers]:
    """All three run before a test; after it OVN equals the database and nothing is unfinished."""
    started.all_run()
    yield started
    assert started.troubles() == []


def make_subnet(admin: client.Client, network_id: str, cidr: str) -> str:
    values = {"ip_version": 4, "cidr": cidr, "dns_nameservers": ["9.9.9.9"]}
    return str(admin.create("subnets", network_id=network_id, **values)["id"])


def make_network(admin: client.Client, cidr: str) -> str:
    """Return the id of a new network with a subnet."""
    network = admin.create("networks", name=cidr)["id"]
    make_subnet(admin, network, cidr)
    return str(network)


@contextlib.contextmanager
def in_their_calls(controllers: Controllers, at: int) -> collections.abc.Iterator[None]:
    """Hold every conductor in the middle of its driver's calls for ports made at one controller.

    OVN's northbound server stands still until the block ends.
    """
    admin = controllers.cloud.client(at)
    network = make_network(admin, "10.9.0.0/16")
    admin.create("ports", network_id=network)  # the first one makes the security group
    controllers.cloud.settles()
    controllers.ovn.pause_nb()
    try:
        ports = [{"network_id": network, "project_id": admin.project_id}] * HELD
        assert admin.call("POST", "/ports", {"ports": ports}).status == 201
        wait_until(
            lambda: all(controllers.held_by(one) for one in controllers.each),
            clouds.PATIENCE_S,
            "every conductor to run a workflow",
        )
        yield
    finally:
        controllers.ovn.resume_nb()


def test_what_one_controller_has_made_the_next_one_builds_on(controllers: Controllers) -> None:
    first, second, third = (controllers.cloud.client(at) for at in range(3))
    outside = first.create("networks", **{"router:external": True})["id"]
    make_subnet(third, outside, "203.0.113.0/24")
    network = second.create("networks")["id"]
    subnet = make_subnet(third, network, "10.1.0.0/24")
    port = first.create("ports", network_id=network)["id"]
    router = third.create("routers", external_gateway_info={"network_id": outside})["id"]
    path = f"/routers/{router}/add_router_interface"
    assert second.call("PUT", path, {"subnet_id": subnet}).status == 200
    third.create("floatingips", floating_network_id=outside, port_id=port)
    first.delete("floatingips", second.list("floatingips", port_id=port)[0]["id"])
    second.create("floatingips", floating_network_id=outside, port_id=port)


def test_a_request_waits_until_its_node_has_what_another_one_has_committed(
    controllers: Controllers,
) -> None:
    node = controllers.cluster.nodes[1]
    answers: list[client.Answer] = []
    with contextlib.closing(node.connect()) as holding, holding.cursor() as cursor:
        cursor.execute("FLUSH TABLES WITH READ LOCK")  # it applies nothing until this is over
        network = controllers.cloud.client(0).create("networks")["id"]

        def look() -> None:
            answers.append(controllers.cloud.client(2).call("GET", f"/networks/{network}"))

        asking = threading.Thread(target=look, daemon=True)
        asking.start()
        wait_until(
            lambda: answers or node.query(WAITING_READS), clouds.PATIENCE_S, "the request to wait"
        )
        cursor.execute("UNLOCK TABLES")
    asking.join(clouds.PATIENCE_S)
    assert [answer.status for answer in answers] == [200]


def names_of(port_id: str, watched: ovn.Watched) -> list[str]:
    """Return the names that a port has had in OVN, in order."""
    names: list[str] = []
    for rows in watched.transactions:
        for _, action, name, external_ids, *_ in rows:
            if action in ("initial", "insert", "new") and name == port_id:
                said = dict(external_ids[1])["neutron:port_name"]
                names += [said] if names[-1:] != [said] else []
    return names


def test_changes_through_all_three_reach_ovn_in_the_order_of_their_commits(
    controllers: Controllers,
) -> None:
    network = make_network(controllers.cloud.client(), "10.2.0.0/24")
    admin = controllers.cloud.client()
    ports = [admin.create("ports", network_id=network, name="new")["id"] for _ in range(PORTS)]
    controllers.cloud.settles()
    #: port -> {revision: name}; Neutron counts a resource's revisions in commit order
    committed: dict[str, dict[int, str]] = {port: {} for port in ports}

    def rename(at: int) -> None:
        caller = controllers.cloud.client(at)
        for number in range(ROUNDS):
            for port in ports:
                said = caller.update("ports", port, name=f"{number} at {at}")
                committed[port][said["revision_number"]] = said["name"]

    with controllers.ovn.watched("Logical_Switch_Port", "name", "external_ids") as watched:
        clouds.at_once(*(functools.partial(rename, at) for at in range(3)))
        controllers.cloud.settles()
        for port in ports:
            changes = [name for _, name in sorted(committed[port].items())]
            assert len(changes) == 3 * ROUNDS
            wait_until(
                lambda port=port, last=changes[-1]: names_of(port, watched)[-1:] == [last],
                clouds.PATIENCE_S,
                lambda port=port: f"the last name of {port}; it had {names_of(port, watched)}",
            )
            seen, left = names_of(port, watched), iter(["new", *changes])
            assert len(seen) > 2
            assert all(name in left for name in seen)


def test_what_a_killed_controller_ran_the_others_finish_and_one_told_to_stop_ends_its_own(
    controllers: Controllers,
) -> None:
    told, killed, _ = controllers.each
    stopping = told.conductor
    with in_their_calls(controllers, 1):
        lost, ended = controllers.held_by(killed), controllers.held_by(told)
        killed.kill()
        os.kill(stopping.pid, signal.SIGTERM)
        wait_until(lambda: "Stopping: " in stopping.log, clouds.PATIENCE_S, "the stop to begin")
    wait_until(lambda: stopping.exit_code is not None, STOP_S, lambda: stopping.log)
    assert stopping.exit_code == 0
    stopping.kill()
    assert controllers.registered(told)[-1] == "STOPPED"
    assert controllers.ends(ended) == {("SUCCESS", False)}
    controllers.cloud.settles()
    assert controllers.ends(lost) == {("SUCCESS", True)}
    assert controllers.registered(killed)[-1] == "LOST"


def test_controllers_on_the_other_node_go_on_and_those_on_a_dead_one_come_back(
    controllers: Controllers,
) -> None:
    cluster, cut_off = controllers.cluster, controllers.each[2]
    before = len(controllers.registered(cut_off))
    with in_their_calls(controllers, 2):
        workflows = controllers.held_by(cut_off)
        cluster.nodes[1].kill()
    try:
        wait_until(lambda: galera.is_ready(cluster.nodes[0], 1), 60, "the first node to go on")
        for at in (0, 1):
            make_network(controllers.cloud.client(at), f"10.3.{at}.0/24")
        controllers.cloud.settles()
        assert controllers.ends(workflows) == {("SUCCESS", True)}
        assert controllers.registered(cut_off)[-1] == "LOST"
        assert refuses(cut_off)
    finally:
        cluster.start_node(1)
    cut_off.wait_ready()
    wait_until(
        lambda: controllers.registered(cut_off)[before:] == ["ALIVE"],
        clouds.PATIENCE_S,
        "the conductor that was cut off to be there again",
    )
    make_network(controllers.cloud.client(2), "10.3.2.0/24")


def refuses(controller: Controller) -> bool:
    """Return whether a list of networks is answered with an error, or not at all."""
    with client.Client(controller.api.url, deadline_s=HANGS_S) as caller:
        try:
            return caller.call("GET", "/networks").status >= 500
        except requests.Timeout:
            return True


def test_the_page_shows_the_configuration_that_is_tested(started: Controllers) -> None:
    of_the_page = page.shown("One machine", "Three controllers on Galera")
    read = [page.written(one.api.config_files) for one in started.each]
    assert [page.differences(of_the_page, one) for one in read] == [[], [], []]
    assert len({one["DEFAULT", "host"] for one in read}) == 3
    assert len({one["database", "connection"] for one in read}) == 2
