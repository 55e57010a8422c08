# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What answers of calls that change something say in their headers, and what callers prefer."""

import collections.abc
import contextlib
import typing

import webob

from networking_workflow.api import prefer
from networking_workflow.capture import images, restore, session
from networking_workflow.model import frames

#: The workflows that the call opened and committed, separated by a comma.
WORKFLOW_ID = "OpenStack-Workflow-Id"

#: Ids in one answer: 3.8 kB, of the 8 kB that servers and proxies let a header line have. All of
#: them are ``GET /v2.0/workflows?operation_id=<the answer's X-OpenStack-Request-Id>``.
MOST_IDS = 100

_READING = frozenset({"GET", "HEAD", "OPTIONS"})

Environ = dict[str, typing.Any]
Application = collections.abc.Callable[..., collections.abc.Iterable[bytes]]
StartResponse = collections.abc.Callable[..., typing.Any]


class Around:
    """A WSGI application around Neutron's; unless asked otherwise it answers what that answers."""

    def __init__(self, application: Application, waiting: prefer.Waiting) -> None:
        self._application, self._waiting = application, waiting

    def __call__(
        self, environ: Environ, start_response: StartResponse
    ) -> collections.abc.Iterable[bytes]:
        """Answer one request."""
        return frames.with_room(lambda: self._call(environ, start_response))

    def _call(
        self, environ: Environ, start_response: StartResponse
    ) -> collections.abc.Iterable[bytes]:
        if environ["REQUEST_METHOD"] in _READING:
            return self._application(environ, start_response)
        body: collections.abc.Iterable[bytes]
        body = self._answer(webob.Request(environ))(environ, start_response)
        return body

    def _answer(self, request: webob.Request) -> webob.Response:
        wanted = prefer.parse(request.headers.get("Prefer", ""))
        with contextlib.ExitStack() as stack:
            ids = stack.enter_context(session.committed_ids(is_call=False))
            changed = stack.enter_context(images.keeping()) if wanted.wait_s is not None else None
            response = request.get_response(self._application)
        if not ids:
            return response
        response.headers[WORKFLOW_ID] = ", ".join(ids[:MOST_IDS])
        if response.status_int >= 300 or not wanted:
            return response  # an error is told, whatever else was committed

        def undo() -> restore.Restored:
            assert changed is not None, "only those who wait hear of a failure"
            return restore.restore(request.environ["neutron.context"], changed, ids)

        return self._waiting.answer(response, ids, wanted, _place(request, ids), undo)


def _place(request: webob.Request, ids: list[str]) -> str:
    """Return the path of the workflow, or of all that the call opened."""
    if len(ids) == 1:
        return f"/v2.0/workflows/{ids[0]}"
    context = request.environ["neutron.context"]  # whose id capture writes
    return f"/v2.0/workflows?operation_id={context.request_id}"
