# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""HTTP client of the fabric: one method per call, errors in the words of ``model.errors``.

What the network itself does (no connection, no answer) is raised as ``requests`` raises it; every
caller that keeps the driver protocol translates those (see ``drivers.foreign``).
"""

import threading
import typing

import requests

from networking_workflow.model import errors, running

Json = dict[str, typing.Any]


class FabricClient:
    """One fabric; safe for threads, each has a session of its own."""

    def __init__(self, url: str, *, timeout_s: float) -> None:
        self._url = url.rstrip("/")
        self._timeout_s = timeout_s
        self._local = threading.local()

    def health(self) -> None:
        """Return if the fabric can be used.

        :raises requests.RequestException: if it cannot be reached.
        """
        self._call("GET", "health")

    def put(self, kind: str, object_id: str, body: Json) -> None:
        """Make or replace one object.

        :raises MissingReference: if the fabric lacks something that the body refers to.
        :raises TransientFailure: if the fabric is busy.
        :raises PermanentFailure: if it refuses the body.
        :raises requests.RequestException: if it cannot be reached or does not answer in time.
        """
        self._call("PUT", f"{kind}/{object_id}", body)

    def delete(self, kind: str, object_id: str) -> None:
        """Delete one object; absent is a success.

        :raises StillReferred: if another object uses it; otherwise as :meth:`put`.
        """
        self._call("DELETE", f"{kind}/{object_id}")

    def get(self, kind: str, object_id: str) -> Json | None:
        """Return the body of one object, None if there is none; errors as :meth:`put`."""
        return self._call("GET", f"{kind}/{object_id}")

    def _call(self, method: str, path: str, body: Json | None = None) -> Json | None:
        response = self._session().request(
            method,
            f"{self._url}/v1/{path}",
            json=body,
            timeout=self._timeout_s,
            headers=_task_headers(),
        )
        if response.status_code == requests.codes.not_found and method != "PUT":
            return None
        if not response.ok:
            raise _refused(response)
        answer: Json = response.json()
        return answer

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            session.trust_env = False  # no proxy stands between a controller and its fabric
        return session


def _task_headers() -> dict[str, str]:
    """Return which task asks, so that the fabric's record can be joined with the journal."""
    task = running.RUNNING.get()
    return {"X-Workflow-Id": task.claim.id, "X-Task-Id": task.task_id} if task else {}


def _refused(response: requests.Response) -> errors.DriverError:
    try:
        answer = response.json()
    except requests.JSONDecodeError:
        answer = {"message": response.text}
    detail = f"The fabric answered {response.status_code}: {answer.get('message')}"
    if missing := answer.get("missing"):
        return errors.MissingReference(missing["kind"], missing["id"], detail)
    if user := answer.get("in_use"):
        return errors.StillReferred(user["kind"], user["id"], detail)
    if response.status_code in (requests.codes.too_many, requests.codes.unavailable):
        return errors.TransientFailure(detail)
    if response.status_code >= requests.codes.server_error:
        return errors.DriverError(detail)
    return errors.PermanentFailure(detail)
