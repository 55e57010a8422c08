# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What calls that change something are asked in their headers, and say in those of the answer."""

import collections.abc
import dataclasses
import typing

import webob

from networking_workflow.api import bindings, idempotency, prefer
from networking_workflow.capture import calls, images, restore
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


def _left_to_stock() -> restore.Restored:
    return restore.Restored(
        done=False,
        why_not="This service compares what stock Neutron does, and undoes nothing; the change "
        "stays.",
    )


class Around:
    """A WSGI application around Neutron's; unless asked otherwise it answers what that answers.

    :param undoes: what a caller waits for in vain is undone.
    """

    def __init__(
        self,
        application: Application,
        waiting: prefer.Waiting,
        keys: idempotency.Keys,
        *,
        undoes: bool = True,
    ) -> None:
        self._application, self._waiting, self._keys = application, waiting, keys
        self._undoes = undoes

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
        call = self._waited_for if wanted.wait_s is not None else self._made
        if idempotency.is_asked_for(request):
            answered = self._keys.answer(request, call)
        else:
            answered = call(request)
        response, ids = answered.response, list(answered.workflow_ids)
        if not ids:
            return response
        response.headers[WORKFLOW_ID] = ", ".join(ids[:MOST_IDS])
        if response.status_int >= 300 or not wanted:
            return response  # an error is told, whatever else was committed
        place = _place(ids, answered.operation_id)
        told = self._waiting.answer(response, ids, wanted, place, answered.undo)
        if told.headers.get(prefer.WAIT) == prefer.DONE:
            bindings.show_bound(request, told, self._application)
        return told

    def _made(self, request: webob.Request) -> idempotency.Answered:
        """Let Neutron answer; return what it opened, too."""
        with calls.committed_ids() as ids:
            response = request.get_response(self._application)
        context = request.environ.get("neutron.context")  # whose id capture writes
        return idempotency.Answered(
            response=response,
            workflow_ids=ids,
            operation_id=getattr(context, "request_id", None) or "",
        )

    def _waited_for(self, request: webob.Request) -> idempotency.Answered:
        """Let Neutron answer, and keep what it changes, so that it can be undone."""
        if not self._undoes:
            return dataclasses.replace(self._made(request), undo=_left_to_stock)
        with images.keeping() as changed:
            answered = self._made(request)

        def undo() -> restore.Restored:
            context = request.environ["neutron.context"]
            return restore.restore(context, changed, list(answered.workflow_ids))

        return dataclasses.replace(answered, undo=undo)


def _place(ids: list[str], operation_id: str) -> str:
    """Return the path of the workflow, or of all that the call opened."""
    if len(ids) == 1:
        return f"/v2.0/workflows/{ids[0]}"
    return f"/v2.0/workflows?operation_id={operation_id}"
