# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The real API inside the test's process as tenants and administrators see it."""

import dataclasses
import json
import typing
import uuid

import webob

from lab.neutron import config as lab_config
from tests.functional.capture import inprocess

#: Of pages in browsers that may call.
ORIGIN = "https://dashboard.example"


class Neutron(inprocess.Neutron):
    """Neutron with the core plugin that operators name; no conductor runs."""

    def profile(self) -> lab_config.Profile:
        return lab_config.Profile(
            database_url=self.database.url,
            core_plugin="ml2_workflow",
            workflow={"conductor": "separate"},
            tenants=True,
            origin=ORIGIN,
        )

    @property
    def admin(self) -> "Client":
        return Client(neutron=self, project_id="0" * 32, roles="admin,member,reader")

    def tenant(self, project_id: str | None = None) -> "Client":
        """Return the client of a project, by default of one that nobody has seen yet."""
        return Client(neutron=self, project_id=project_id or uuid.uuid4().hex)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    status: int
    body: typing.Any
    headers: typing.Mapping[str, str]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Client:
    """Somebody whom the API believes to be of a project and to have roles."""

    neutron: Neutron
    project_id: str
    roles: str = "member,reader"

    def call(self, method: str, path: str, body: typing.Any = None, **headers: str) -> Answer:
        """Send one request; ``path`` starts after ``/v2.0``."""
        request = webob.Request.blank(f"/v2.0{path}", method=method)
        request.headers["X-User-Id"] = "u" * 32
        request.headers["X-Project-Id"] = self.project_id
        request.headers["X-Roles"] = self.roles
        request.headers.update(headers)
        if body is not None:
            request.content_type = "application/json"
            request.body = json.dumps(body).encode()
        response = request.get_response(self.neutron.app)
        decoded = json.loads(response.body) if response.body else None
        return Answer(status=response.status_int, body=decoded, headers=response.headers)

    def get(self, path: str) -> typing.Any:
        """Return what is under the body's first key: one resource, or a list of them."""
        return next(iter(self.get_whole(path).values()))

    def get_whole(self, path: str) -> dict[str, typing.Any]:
        """Return a body with all its keys, links to other pages among them."""
        answer = self.call("GET", path)
        assert answer.status == 200, answer
        body: dict[str, typing.Any] = answer.body
        return body

    def status(self, method: str, path: str, body: typing.Any = None) -> int:
        return self.call(method, path, body).status

    def create(self, kind: str, **values: typing.Any) -> dict[str, typing.Any]:
        answer = self.call("POST", f"/{kind.replace('_', '-')}s", {kind: values})
        assert answer.status == 201, answer
        created: dict[str, typing.Any] = answer.body[kind]
        return created

    def update(self, kind: str, resource_id: str, **values: typing.Any) -> dict[str, typing.Any]:
        answer = self.call("PUT", f"/{kind.replace('_', '-')}s/{resource_id}", {kind: values})
        assert answer.status == 200, answer
        updated: dict[str, typing.Any] = answer.body[kind]
        return updated
