# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What every answer of a call that changes something says in its headers."""

import collections.abc
import typing

from networking_workflow.capture import session

#: The workflows that the call opened and committed, separated by a comma.
WORKFLOW_ID = "OpenStack-Workflow-Id"

#: Ids in one answer: 3.8 kB, of the 8 kB that servers and proxies let a header line have. All of
#: them are ``GET /v2.0/workflows?request_id=<the answer's X-OpenStack-Request-Id>``.
MOST_IDS = 100

_READING = frozenset({"GET", "HEAD", "OPTIONS"})

Environ = dict[str, typing.Any]
Application = collections.abc.Callable[..., collections.abc.Iterable[bytes]]


class WorkflowIds:
    """A WSGI application around Neutron's; it answers with what that answers.

    It is the outermost call of :func:`session.committed_ids`: what follows a commit in this process
    waits until the answer is made.
    """

    def __init__(self, application: Application) -> None:
        self._application = application

    def __call__(
        self, environ: Environ, start_response: collections.abc.Callable[..., typing.Any]
    ) -> collections.abc.Iterable[bytes]:
        """Answer one request."""
        if environ["REQUEST_METHOD"] in _READING:
            return self._application(environ, start_response)
        with session.committed_ids() as ids:

            def start(
                status: str, headers: list[tuple[str, str]], *exc_info: typing.Any
            ) -> typing.Any:
                if ids:  # all has been committed: Neutron's controllers return whole answers
                    headers = [*headers, (WORKFLOW_ID, ", ".join(ids[:MOST_IDS]))]
                return start_response(status, headers, *exc_info)

            return self._application(environ, start)
