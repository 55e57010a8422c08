# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What answers of calls that change something say in their headers, and what callers prefer."""

import collections.abc
import typing

import webob

from networking_workflow.api import prefer
from networking_workflow.capture import session

#: The workflows that the call opened and committed, separated by a comma.
WORKFLOW_ID = "OpenStack-Workflow-Id"

#: Ids in one answer: 3.8 kB, of the 8 kB that servers and proxies let a header line have. All of
#: them are ``GET /v2.0/workflows?request_id=<the answer's X-OpenStack-Request-Id>``.
MOST_IDS = 100

_READING = frozenset({"GET", "HEAD", "OPTIONS"})

Environ = dict[str, typing.Any]
Application = collections.abc.Callable[..., collections.abc.Iterable[bytes]]
StartResponse = collections.abc.Callable[..., typing.Any]


class Around:
    """A WSGI application around Neutron's; unless asked otherwise it answers what that answers.

    It is the outermost call of :func:`session.committed_ids`: what follows a commit in this process
    waits until Neutron's answer is made.
    """

    def __init__(self, application: Application, waiting: prefer.Waiting) -> None:
        self._application, self._waiting = application, waiting

    def __call__(
        self, environ: Environ, start_response: StartResponse
    ) -> collections.abc.Iterable[bytes]:
        """Answer one request."""
        if environ["REQUEST_METHOD"] in _READING:
            return self._application(environ, start_response)
        wanted = prefer.parse(environ.get("HTTP_PREFER", ""))
        if wanted:
            body: collections.abc.Iterable[bytes]
            body = self._as_preferred(environ, wanted)(environ, start_response)
            return body
        with session.committed_ids() as ids:

            def start(
                status: str, headers: list[tuple[str, str]], *exc_info: typing.Any
            ) -> typing.Any:
                if ids:  # all has been committed: Neutron's controllers return whole answers
                    headers = [*headers, (WORKFLOW_ID, _said(ids))]
                return start_response(status, headers, *exc_info)

            return self._application(environ, start)

    def _as_preferred(self, environ: Environ, wanted: prefer.Preferences) -> webob.Response:
        with session.committed_ids() as ids:
            response = webob.Request(environ).get_response(self._application)
        if not ids:
            return response
        response.headers[WORKFLOW_ID] = _said(ids)
        if response.status_int >= 300:
            return response  # it is told of its own error, whatever else was committed
        return self._waiting.answer(response, ids, wanted)


def _said(ids: list[str]) -> str:
    return ", ".join(ids[:MOST_IDS])
