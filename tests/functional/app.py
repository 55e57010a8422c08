# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The real Neutron API in this process, without a server: requests go to its WSGI application.

Neutron keeps its configuration and its plugins per process; hence one application per test run,
made by the first test that asks for it.
"""

import dataclasses
import functools
import json
import os
import pathlib
import typing
import uuid

import sqlalchemy as sa
import webob

PASTE = """
[composite:neutron]
use = egg:Paste#urlmap
/v2.0: api

[composite:api]
use = call:neutron.auth:pipeline_factory
noauth = request_id catch_errors identity extensions neutronapi
keystone = request_id catch_errors identity extensions neutronapi

# Believes the headers that Keystone's middleware would have checked.
[filter:identity]
paste.filter_factory = neutron.auth:NeutronKeystoneContext.factory
[filter:request_id]
paste.filter_factory = oslo_middleware:RequestId.factory
[filter:catch_errors]
paste.filter_factory = oslo_middleware:CatchErrors.factory
[filter:extensions]
paste.filter_factory = neutron.api.extensions:plugin_aware_extension_middleware_factory
[app:neutronapi]
paste.app_factory = neutron.api.v2.router:APIRouter.factory
"""

NEUTRON = """
[DEFAULT]
core_plugin = ml2_workflow
service_plugins =
auth_strategy = noauth
api_paste_config = {folder}/api-paste.ini
transport_url = fake://
state_path = {folder}
rpc_workers = 0
rpc_state_report_workers = 0
enable_traditional_dhcp = false
[database]
connection = {url}
max_retries = 0
[oslo_concurrency]
lock_path = {folder}
[oslo_messaging_notifications]
driver = noop
[quotas]
default_quota = -1
quota_network = -1
quota_subnet = -1
quota_port = -1
quota_security_group = -1
quota_security_group_rule = -1
[ml2]
type_drivers = local
tenant_network_types = local
mechanism_drivers = {mechanism_drivers}
extension_drivers = port_security
[workflow]
conductor = separate
"""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What came back: the status code and the decoded body."""

    status: int
    body: typing.Any
    headers: typing.Mapping[str, str]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Client:
    """Somebody who sends requests to the application."""

    application: typing.Callable[..., typing.Any]
    project_id: str
    roles: str = "member,reader"

    def call(self, method: str, path: str, body: typing.Any = None) -> Answer:
        """Send one request; ``path`` starts after ``/v2.0``."""
        request = webob.Request.blank(f"/v2.0{path}", method=method)
        request.headers["X-User-Id"] = "somebody"
        request.headers["X-Project-Id"] = self.project_id
        request.headers["X-Roles"] = self.roles
        if body is not None:
            request.content_type = "application/json"
            request.body = json.dumps(body).encode()
        response = request.get_response(self.application)
        decoded = json.loads(response.body) if response.body else None
        return Answer(status=response.status_int, body=decoded, headers=dict(response.headers))

    def get(self, path: str, expect: int = 200) -> typing.Any:
        """Return the body of a GET, its only key opened where it has one."""
        answer = self.call("GET", path)
        assert answer.status == expect, answer
        return answer.body

    def create(self, collection: str, **attributes: typing.Any) -> dict[str, typing.Any]:
        """POST one resource and return it."""
        member = "policy" if collection == "policies" else collection[:-1]
        path = "/" + collection.replace("_", "-" if "group" in collection else "_")
        answer = self.call("POST", path, {member: attributes})
        assert answer.status == 201, answer
        created: dict[str, typing.Any] = answer.body[member]
        return created


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Neutron:
    """The application and its database."""

    application: typing.Callable[..., typing.Any]
    url: str
    folder: pathlib.Path

    def admin(self) -> Client:
        """Return an administrator's client."""
        return Client(
            application=self.application, project_id="admins", roles="admin,member,reader"
        )

    def tenant(self, project_id: str | None = None) -> Client:
        """Return the client of a project, by default one that nobody else knows."""
        return Client(application=self.application, project_id=project_id or uuid.uuid4().hex)


@functools.cache
def neutron(folder: pathlib.Path, mechanism_drivers: str = "") -> Neutron:
    """Boot Neutron on a new SQLite database in ``folder``."""
    url = f"sqlite:///{folder}/neutron.sqlite"
    make_schema(url)
    (folder / "api-paste.ini").write_text(PASTE)
    (folder / "neutron.conf").write_text(
        NEUTRON.format(folder=folder, url=url, mechanism_drivers=mechanism_drivers)
    )
    return Neutron(application=_boot(folder / "neutron.conf"), url=url, folder=folder)


def make_schema(url: str) -> None:
    """Make Neutron's tables and ours; Neutron's migrations do not run on SQLite."""
    from neutron.db.migration.models import head

    from networking_workflow.journal import schema

    engine = sa.create_engine(url)
    head.get_metadata().create_all(engine)
    schema.create_all(engine)
    engine.dispose()


def _boot(configuration: pathlib.Path) -> typing.Callable[..., typing.Any]:
    from neutron.common import config
    from neutron.server import api

    config.register_common_config_options()
    config.init([], default_config_files=[os.fspath(configuration)], prog="neutron-api")
    config.set_config_defaults()
    application: typing.Callable[..., typing.Any] = api.api_server()
    return application
