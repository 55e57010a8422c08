# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A whole Neutron API with capture inside the test's own process, on a database of its own."""

import contextlib
import dataclasses
import json
import typing
import uuid

import sqlalchemy as sa
import webob
from neutron import manager as neutron_manager
from neutron import policy as neutron_policy
from neutron.api import extensions as neutron_extensions
from neutron.api.rpc.callbacks.producer import registry as producers
from neutron.common import config as neutron_config
from neutron.services.logapi.drivers.ovn import driver as log_driver
from neutron.services.segments import db as segments_db
from neutron_lib import context as neutron_context
from neutron_lib import fixture
from neutron_lib.callbacks import registry
from neutron_lib.db import api as db_api
from neutron_lib.plugins import directory
from neutron_lib.policy import _engine as lib_policy
from oslo_config import cfg
from oslo_db.sqlalchemy import enginefacade

from lab.databases import pool
from lab.neutron import config as lab_config
from lab.neutron import new_schema
from networking_workflow.capture import plugin as capture_plugin
from networking_workflow.capture import seams, session
from networking_workflow.journal import schema, tables

PROJECT = "11111111111111111111111111111111"

#: Test drivers of Neutron itself that bind ports and call no backend.
MECHANISM_DRIVERS = ("logger", "test")


#: Enough networks for a package of tests, some of which compare every row before and after a call.
FEW = {"ml2_type_geneve": {"vni_ranges": "1:1000"}}


class Ml2Plugin(capture_plugin.CapturingMl2Plugin):
    """The core plugin as it is configured, without the API of its own."""


@dataclasses.dataclass(frozen=True, slots=True)
class Captured:
    """One row of the journal."""

    resource_type: str
    resource_id: str
    operation: str
    keys: dict[str, str]
    row: typing.Any

    @property
    def what(self) -> tuple[str, str]:
        return (self.operation, self.resource_type)


def tables_of(engine: sa.Engine) -> None:
    new_schema.create(engine)
    schema.create_all(engine)


class Neutron:
    """The API, called without a server; and what capture wrote while it was called."""

    def __init__(self, database: pool.Database) -> None:
        self.database = database
        self._undo = contextlib.ExitStack()
        # Extensions add their attributes to each other's maps, which outlive a Neutron: the next
        # one in the process would have attributes of plugins that it does not load, or lack some.
        self._undo.enter_context(fixture.APIDefinitionFixture.all_api_definitions_fixture())
        self._configure()
        self.app = neutron_config.load_paste_app("neutron")
        self.engine = sa.create_engine(database.url, poolclass=sa.NullPool)
        self._undo.callback(self.engine.dispose)

    def profile(self) -> lab_config.Profile:
        """Return what kind of Neutron it is."""
        return lab_config.Profile(
            database_url=self.database.url,
            core_plugin=f"{__name__}.Ml2Plugin",
            mechanism_drivers=MECHANISM_DRIVERS,
            tenants=True,
        )

    def _configure(self) -> None:
        profile = self.profile()
        profile = dataclasses.replace(profile, options={**FEW, **profile.options})
        deployment = self._undo.enter_context(lab_config.Deployment(profile))
        files = [str(path) for path in deployment.config_files("here")]
        neutron_config.register_common_config_options()
        cfg.CONF.reset()
        neutron_config.init([], default_config_files=files)
        neutron_config.set_config_defaults()
        url = sa.make_url(self.database.url)
        fresh = enginefacade.transaction_context()
        fresh.configure(connection=self.database.url, sqlite_fk=True, flush_on_subtransaction=True)
        seams.queue_writers(fresh, url)
        self._undo.callback(fresh.dispose_pool)
        self._undo.callback(db_api.get_context_manager().patch_factory(fresh))
        self._undo.callback(session.uninstall)
        registry.clear()
        # Made once in a process, and subscribed while it is made.
        log_driver.DRIVER = None
        if "segments" in cfg.CONF.service_plugins:
            # Subscribed when the module is imported; it remembers whether it was configured.
            segments_db._USER_CONFIGURED_SEGMENT_PLUGIN = segments_db.segments_plugin = None
            segments_db.subscribe()
        neutron_policy.reset()
        lib_policy._ROLE_ENFORCER = None
        neutron_manager.NeutronManager.clear_instance()
        neutron_extensions.PluginAwareExtensionManager.clear_instance()
        directory._PLUGIN_DIRECTORY = None

    def close(self) -> None:
        self._undo.close()
        # The QoS plugin of the next Neutron in this process registers itself, which works once.
        producers.clear()

    @property
    def plugin(self) -> typing.Any:
        return directory.get_plugin()

    def context(self) -> typing.Any:
        """Return an administrator's request context, for calls of the plugin itself."""
        return neutron_context.Context(user_id="user", project_id=PROJECT, is_admin=True)

    def call(
        self,
        method: str,
        path: str,
        body: typing.Any = None,
        *,
        project: str = PROJECT,
        roles: str = "admin,member,reader,service",
        status: int | None = None,
    ) -> typing.Any:
        """Answer one HTTP request as the API does, and return the body of the answer."""
        request = webob.Request.blank(
            f"/v2.0/{path}",
            method=method,
            body=json.dumps(body).encode() if body is not None else b"",
            content_type="application/json",
            headers={"X-User-Id": "user", "X-Project-Id": project, "X-Roles": roles},
        )
        response = request.get_response(self.app)
        expected = {status} if status else {200, 201, 204}
        assert response.status_code in expected, f"{method} {path}: {response.text}"
        return response.json if response.body else None

    def create(self, kind: str, **values: typing.Any) -> typing.Any:
        values.setdefault("project_id", PROJECT)
        return self.call("POST", _path(kind), {kind: values})[kind]

    def create_bulk(self, kind: str, bodies: list[dict[str, typing.Any]]) -> typing.Any:
        plural = f"{kind}s"
        bodies = [{"project_id": PROJECT, **body} for body in bodies]
        return self.call("POST", _path(kind), {plural: bodies})[plural]

    def update(self, kind: str, resource_id: str, **values: typing.Any) -> typing.Any:
        return self.call("PUT", f"{_path(kind)}/{resource_id}", {kind: values})[kind]

    def show(self, kind: str, resource_id: str) -> typing.Any:
        return self.call("GET", f"{_path(kind)}/{resource_id}")[kind]

    def delete(self, kind: str, resource_id: str) -> None:
        self.call("DELETE", f"{_path(kind)}/{resource_id}")

    def workflows(self) -> list[Captured]:
        """Return every workflow so far, in apply order within a transaction."""
        query = sa.select(tables.workflows)
        with self.engine.connect() as connection:
            rows = connection.execute(query).all()
        return [
            Captured(row.resource_type, row.resource_id, row.operation, dict(row.held_keys), row)
            for row in rows
        ]

    def sync_rows(self) -> dict[str, typing.Any]:
        """Return the row of ``resource_sync`` of each resource id."""
        with self.engine.connect() as connection:
            rows = connection.execute(sa.select(tables.resource_sync)).all()
        return {row.resource_id: row for row in rows}

    @contextlib.contextmanager
    def capturing(self) -> typing.Iterator[list[Captured]]:
        """Fill a list with the workflows that the block's calls recorded, a resource's in order."""
        before = {captured.row.id for captured in self.workflows()}
        found: list[Captured] = []
        yield found
        new = (workflow for workflow in self.workflows() if workflow.row.id not in before)
        found.extend(sorted(new, key=lambda workflow: workflow.row.gen))


def _path(kind: str) -> str:
    return f"{kind.replace('_', '-')}s"


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


@dataclasses.dataclass(frozen=True, slots=True)
class Statement:
    """One statement that Neutron's own engine sent, or a COMMIT or ROLLBACK."""

    connection: int
    text: str


@contextlib.contextmanager
def statements(*, reader: bool = False) -> typing.Iterator[list[Statement]]:
    """Collect every statement that Neutron's writers, or readers, send in the block."""
    manager = db_api.get_context_manager()
    engine = (manager.reader if reader else manager.writer).get_engine()
    seen: list[Statement] = []

    def execute(connection: typing.Any, _cursor: typing.Any, text: str, *_: typing.Any) -> None:
        seen.append(Statement(id(connection.connection.dbapi_connection), text))

    def commit(connection: typing.Any) -> None:
        seen.append(Statement(id(connection.connection.dbapi_connection), "COMMIT"))

    sa.event.listen(engine, "after_cursor_execute", execute)
    sa.event.listen(engine, "commit", commit)
    try:
        yield seen
    finally:
        sa.event.remove(engine, "after_cursor_execute", execute)
        sa.event.remove(engine, "commit", commit)
