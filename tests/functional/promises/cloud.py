# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A whole deployment for a module of tests: database, backend, API processes and conductors."""

import collections.abc
import contextlib
import datetime
import threading
import typing

import sqlalchemy as sa

from lab import client, neutron, ovn
from lab.databases import pool
from lab.demo import compare, northbound
from lab.neutron import schema
from networking_workflow import releases
from networking_workflow.drivers.fabric import behaviour
from networking_workflow.drivers.fabric import server as fabric_server
from networking_workflow.journal import clock, readiness, tables
from networking_workflow.model import states
from tests.waiting import wait_until

Json = dict[str, typing.Any]

#: Seconds within which everything that a test waits for has to come, on a loaded machine too.
PATIENCE_S = 120

#: Seconds that no answer of an API process may take, whatever its backend does.
ANSWER_S = 10

#: So short that take-overs are quick, and long enough for a loaded machine.
TAKE_OVER: Json = {"lease_s": 4, "chores_s": 1, "probe_s": 0.5}

_PROFILE_RULES = ("create_port:binding:profile", "update_port:binding:profile")

#: What the fabric is told of a port that the API says, too.
_PORT_FIELDS = ("network_id", "name", "admin_state_up", "mac_address", "fixed_ips", "device_id")


class Cloud:
    """One deployment. API processes are started with :meth:`add_api`, and end with it."""

    def __init__(
        self,
        deployment: neutron.Deployment,
        stack: contextlib.ExitStack,
        fabric: fabric_server.FabricServer | None,
    ) -> None:
        self.deployment = deployment
        self.profile = deployment.profile
        self.apis: list[neutron.NeutronApi] = []
        self._stack = stack
        self._fabric = fabric
        # Asked many times a second; the server may have been away meanwhile.
        self._engine = sa.create_engine(
            self.profile.database_url, isolation_level="AUTOCOMMIT", pool_pre_ping=True
        )
        stack.callback(self._engine.dispose)

    @property
    def ovn(self) -> ovn.OvnCentral:
        """Return its OVN; it must have one."""
        assert self.profile.ovn is not None
        return self.profile.ovn

    @property
    def fabric(self) -> fabric_server.FabricServer:
        """Return its fabric; it must have one."""
        assert self._fabric is not None
        return self._fabric

    @contextlib.contextmanager
    def fabric_behaving(self, **how: typing.Any) -> collections.abc.Iterator[None]:
        """Let the fabric behave so within the block, and well afterwards."""
        self.fabric.gate.set(behaviour.Behaviour(**how))
        try:
            yield
        finally:
            self.fabric.gate.set(behaviour.Behaviour())

    def add_api(self, **how: typing.Any) -> neutron.NeutronApi:
        """Start one more API process."""
        api = neutron.NeutronApi(self.deployment, **how)
        self._stack.callback(api.kill)
        api.start()
        self.apis.append(api)
        return api

    def client(self, api: int = 0, project_id: str = client.PROJECT_ID) -> client.Client:
        """Return a client of one API process: an administrator, unless it says which tenant."""
        tenant = project_id != client.PROJECT_ID
        headers = client.identity(project_id, admin=not tenant)
        made = client.Client(self.apis[api].url, headers=headers, project_id=project_id)
        self._stack.callback(made.close)
        return made

    # -- the journal -----------------------------------------------------------------------------

    def rows(self, query: sa.Select[typing.Any]) -> list[typing.Any]:
        """Return what a query finds in the database."""
        with self._engine.connect() as connection:
            return list(connection.execute(query).all())

    def execute(self, statement: sa.Executable) -> None:
        """Run a statement, and commit it."""
        with self._engine.connect() as connection:
            connection.execute(statement)

    def workflows(self, resource_id: str) -> list[typing.Any]:
        """Return the workflows of a resource, the oldest first."""
        table = tables.workflows
        found = sa.select(table).where(table.c.resource_id == resource_id)
        return self.rows(found.order_by(table.c.created_at))

    def states(self, resource_id: str) -> list[str]:
        """Return the states of a resource's workflows, the oldest first."""
        return [row.state for row in self.workflows(resource_id)]

    def tasks(self, resource_id: str) -> list[typing.Any]:
        """Return the tasks of a resource."""
        return self.rows(sa.select(tables.tasks).where(tables.tasks.c.resource_id == resource_id))

    def unfinished(self) -> list[tuple[str, ...]]:
        """Return operation, type, id and state of every workflow that is not over."""
        table = tables.workflows.c
        found = sa.select(
            *(table.operation, table.resource_type, table.resource_id, table.state),
            *(table.waits_for, table.failure_detail),
        )
        return [tuple(row) for row in self.rows(found.where(table.state.not_in(states.TERMINAL)))]

    def failed(self) -> list[tuple[str, ...]]:
        """Return type, id and reason of every FAILED workflow."""
        table = tables.workflows.c
        found = sa.select(table.resource_type, table.resource_id, table.failure_detail)
        return [tuple(row) for row in self.rows(found.where(table.state == "FAILED"))]

    def unrecorded(self) -> readiness.Unrecorded:
        """Return what looks as if it had been done without a workflow."""
        yesterday = clock.local() - datetime.timedelta(days=1)
        with self._engine.connect() as connection:
            return readiness.unrecorded(connection, yesterday)

    def comes_to(self, resource_id: str, state: str) -> None:
        """Wait until a resource's newest workflow that was not folded into another is so."""

        def there() -> bool:
            found = [one for one in self.states(resource_id) if one != "SUPERSEDED"]
            return found[-1:] == [state]

        wait_until(
            there,
            PATIENCE_S,
            lambda: f"{resource_id} to be {state}; it is {self.workflows(resource_id)}",
        )

    def settles(self) -> None:
        """Wait until every workflow is over."""
        wait_until(
            lambda: not self.unfinished(),
            PATIENCE_S,
            lambda: f"every workflow to be over; these are not: {self.unfinished()}",
            every_s=0.1,
        )

    # -- the backends ----------------------------------------------------------------------------

    def differences_from_fabric(self) -> list[str]:
        """Return in words what Neutron says and the fabric does not hold, and the reverse."""
        admin = self.client()
        differences = []
        for kind in ("network", "subnet", "port"):
            wanted = {one["id"]: one for one in admin.list(f"{kind}s")}
            held = self.fabric.store.all(kind)
            differences += [f"{kind} {one} is missing" for one in wanted.keys() - held.keys()]
            differences += [f"{kind} {one} is left over" for one in held.keys() - wanted.keys()]
            fields = _PORT_FIELDS if kind == "port" else ("name",)
            differences += [
                f"{kind} {one}: {field} is {held[one][field]!r}, not {wanted[one][field]!r}"
                for one in wanted.keys() & held.keys()
                for field in fields
                if held[one][field] != wanted[one][field]
            ]
        return differences

    def differences_from_ovn(self) -> list[str]:
        """Return in words what Neutron says and OVN's northbound does not hold, and the reverse."""
        admin = self.client()
        kinds = ("networks", "subnets", "ports", "security-groups")
        routed = "ovn-router" in self.profile.service_plugins
        said = (
            compare.listed(Caller(self))
            if routed
            else compare.Cloud(*(admin.list(kind) for kind in kinds))
        )
        return compare.compare(said, northbound.read(self.ovn.nbctl)).differences

    def troubles(self) -> list[object]:
        """Return what has FAILED and what differs from OVN once every workflow is over."""
        self.settles()
        return [*self.failed(), *self.differences_from_ovn()]


@contextlib.contextmanager
def running(
    database: pool.Database,
    *,
    on: ovn.OvnCentral | None = None,
    asks_to_bind: bool = False,
    **workflow: typing.Any,
) -> collections.abc.Iterator[Cloud]:
    """Lend a cloud on an installed database, with OVN or a fabric of its own; no process runs yet.

    :param asks_to_bind: let the fabric's driver ask it in ``bind_port``.
    :param workflow: options of the group [workflow].
    """
    with contextlib.ExitStack() as stack:
        listen = ("127.0.0.1", 0)
        fabric = None
        if on is None:
            fabric = stack.enter_context(fabric_server.FabricServer(listen).running())
        profile = neutron.Profile(
            database_url=database.url,
            core_plugin="ml2_workflow",
            mechanism_drivers=("fabric",) if fabric else ("ovn",),
            service_plugins=("revisions",),
            fabric_url=fabric.url if fabric else None,
            ovn=on,
            workflow=TAKE_OVER | workflow,
            tenants=True,
            policy=dict.fromkeys(_PROFILE_RULES, "rule:context_is_admin"),
            options={"fabric": {"asks_to_bind": True}} if asks_to_bind else {},
        )
        yield Cloud(stack.enter_context(neutron.Deployment(profile)), stack, fabric)


@contextlib.contextmanager
def routed(databases: pool.Pool) -> collections.abc.Iterator[Cloud]:
    """Lend a cloud of OVN with its service plugins on MariaDB, and one API process of it."""
    with contextlib.ExitStack() as stack:
        central = stack.enter_context(ovn.OvnCentral())
        for number in (1, 2, 3):
            central.add_chassis(f"chassis-{number}", f"compute-{number}")
        database = stack.enter_context(schema.installed(databases, "mariadb"))
        profile = neutron.Profile(
            database_url=database.url,
            core_plugin="ml2_workflow",
            mechanism_drivers=("ovn",),
            service_plugins=tuple(
                name
                for name in ("ovn-router", "qos", "port_forwarding", "trunk", "log")
                if name not in releases.refused_service_plugins()
            ),
            extension_drivers=("port_security", "qos"),
            ovn=central,
            workflow=TAKE_OVER,
            tenants=True,
            options={"ovn": {"ovn_router_indirect_snat": True}},  # of 28 it is not the default
        )
        running = Cloud(stack.enter_context(neutron.Deployment(profile)), stack, None)
        running.add_api()
        yield running


class Caller:
    """Calls of the API, each of which must succeed."""

    def __init__(self, cloud: Cloud, api: int = 0) -> None:
        self._client = cloud.client(api)

    def get(self, path: str) -> typing.Any:
        """Return the body of a GET."""
        return self.call("GET", path.removeprefix("/"))

    def call(self, method: str, path: str, **body: typing.Any) -> typing.Any:
        """Return the body of any call."""
        answer = self._client.call(method, f"/{path}", body or None)
        assert answer.status in (200, 201, 204), answer
        return answer.body

    def make(self, path: str, member: str, **values: typing.Any) -> Json:
        """Create a resource and return it."""
        made: Json = self.call("POST", path, **{member: values})[member]
        return made

    def change(self, path: str, member: str, **values: typing.Any) -> None:
        """Update a resource."""
        self.call("PUT", path, **{member: values})


def at_once(*calls: typing.Callable[[], object]) -> None:
    """Make calls, each in a thread of its own, and raise the first error of any."""
    failures: list[Exception] = []

    def make(call: typing.Callable[[], object]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - it is raised again below
            failures.append(error)

    threads = [threading.Thread(target=make, args=(call,), daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
