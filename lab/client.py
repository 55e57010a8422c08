# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Clients of the lab's Neutron: openstacksdk, and plain JSON over one kept-alive connection.

Without Keystone every caller is an administrator, and every POST needs a ``project_id`` in its
body. With ``Profile(tenants=True)`` the caller is who the headers say: see :func:`identity`.
"""

import dataclasses
import time
import typing
import urllib.parse

import requests
from openstack import connection

PROJECT_ID = "7d1c3bd5c7c54d1a8f3b5f0c6f1b2a10"  #: for whoever does not care which

CALL_DEADLINE_S = 120.0


def sdk(url: str, *, patience_s: float | None = None) -> connection.Connection:
    """Return an openstacksdk connection to a Neutron without Keystone.

    :param patience_s: seconds until a request without an answer raises ``ConnectTimeout`` of
        keystoneauth; None: never.

    The stock SDK drops filters that it does not know, ``sync_state`` among them, and so returns
    everything: use ``network.get("/ports?sync_state=ERROR")`` for those.
    """
    return connection.Connection(
        auth_type="none",
        endpoint=url,
        network_endpoint_override=url,
        app_name="lab",
        api_timeout=patience_s,
    )


def identity(project_id: str, *, admin: bool = False) -> dict[str, str]:
    """Return the headers of a caller, for a deployment with ``tenants=True``."""
    roles = "admin,member,reader" if admin else "member,reader"  # as Keystone implies them
    return {"X-User-Id": f"user-of-{project_id}", "X-Project-Id": project_id, "X-Roles": roles}


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What came back, and how long it took."""

    status: int
    body: typing.Any  #: parsed JSON, or ``None`` where there was none
    headers: typing.Mapping[str, str]
    elapsed_s: float  #: from the first byte sent to the last byte received

    @property
    def error(self) -> str:
        """Return Neutron's message; "" where there is none."""
        if not isinstance(self.body, dict):
            return ""
        return str(self.body.get("NeutronError", {}).get("message", ""))


class CallFailed(AssertionError):
    """Neutron answered with another status than the caller needs."""

    def __init__(self, method: str, path: str, answer: Answer) -> None:
        self.answer = answer
        super().__init__(
            f"{method} {path}: {answer.status} after {answer.elapsed_s:.2f} s: {answer.body}"
        )


class Client:
    """JSON calls under ``/v2.0`` on one connection; not for several threads at a time."""

    def __init__(
        self,
        url: str,
        *,
        headers: typing.Mapping[str, str] | None = None,
        project_id: str = PROJECT_ID,
        deadline_s: float = CALL_DEADLINE_S,
    ) -> None:
        self.url = url
        self.project_id = project_id
        self.deadline_s = deadline_s
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy for 127.0.0.1
        self._session.headers.update(headers or {})

    def call(
        self,
        method: str,
        path: str,
        body: typing.Any = None,
        *,
        headers: typing.Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request, whatever the answer's status.

        :raises requests.RequestException: if there is no answer within ``deadline_s`` seconds.
        """
        started = time.perf_counter()
        response = self._session.request(
            method, f"{self.url}/v2.0{path}", json=body, headers=headers, timeout=self.deadline_s
        )
        elapsed_s = time.perf_counter() - started
        try:
            parsed = response.json() if response.content else None
        except requests.JSONDecodeError:
            parsed = response.text
        return Answer(response.status_code, parsed, response.headers, elapsed_s)

    def create(self, collection: str, **attributes: typing.Any) -> dict[str, typing.Any]:
        """POST one resource and return it; ``collection`` is the plural, ``security-groups``.

        :raises CallFailed: if it was not created.
        """
        attributes.setdefault("project_id", self.project_id)
        return self._one("POST", collection, f"/{collection}", attributes, {201, 202})

    def update(
        self, collection: str, resource_id: str, **attributes: typing.Any
    ) -> dict[str, typing.Any]:
        """PUT attributes of one resource and return it.

        :raises CallFailed: if it was not updated.
        """
        return self._one("PUT", collection, f"/{collection}/{resource_id}", attributes, {200, 202})

    def show(self, collection: str, resource_id: str) -> dict[str, typing.Any]:
        """GET one resource.

        :raises CallFailed: if it is not there.
        """
        return self._one("GET", collection, f"/{collection}/{resource_id}", None, {200})

    def list(self, collection: str, **filters: typing.Any) -> list[dict[str, typing.Any]]:
        """GET a collection; a filter may be a list, of which one value must match.

        :raises CallFailed: if the answer is not 200.
        """
        query = urllib.parse.urlencode(filters, doseq=True)
        path = f"/{collection}?{query}" if query else f"/{collection}"
        answer = self._expect("GET", path, None, {200})
        return typing.cast("list[dict[str, typing.Any]]", answer.body[collection.replace("-", "_")])

    def delete(self, collection: str, resource_id: str) -> Answer:
        """DELETE one resource.

        :raises CallFailed: if it was not deleted.
        """
        return self._expect("DELETE", f"/{collection}/{resource_id}", None, {202, 204})

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def __enter__(self) -> typing.Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _one(
        self, method: str, collection: str, path: str, attributes: typing.Any, good: set[int]
    ) -> dict[str, typing.Any]:
        member = singular(collection)
        body = None if attributes is None else {member: attributes}
        answer = self._expect(method, path, body, good)
        return typing.cast("dict[str, typing.Any]", answer.body[member])

    def _expect(self, method: str, path: str, body: typing.Any, good: set[int]) -> Answer:
        answer = self.call(method, path, body)
        if answer.status not in good:
            raise CallFailed(method, path, answer)
        return answer


def singular(collection: str) -> str:
    """Return what one member is called in a body: ``security_group`` of ``security-groups``."""
    name = collection.replace("-", "_")
    return name[:-3] + "y" if name.endswith("ies") else name.removesuffix("s")
