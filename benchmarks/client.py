# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A client with one kept-alive connection: what is timed is the server, not the client."""

import dataclasses
import http.client
import json
import time
import typing

Json = dict[str, typing.Any]

#: Seconds; below the server's keep-alive, so that no request meets a connection just closed.
_IDLE_S = 30.0


class Refused(Exception):
    """The server answered otherwise than the figure needs."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What the server said, and when."""

    status: int
    headers: typing.Mapping[str, str]
    body: typing.Any  #: None: there was none
    took_ms: float  #: from the request to the answer's last byte
    at: float  #: seconds of the monotonic clock at the answer's last byte


class Client:
    """Sends HTTP requests one at a time; not for several threads."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self._used = 0.0

    def create(self, collection: str, **attributes: typing.Any) -> tuple[float, Json]:
        """POST one resource; return the milliseconds that the answer took, and the resource.

        :raises Refused: if it was not created.
        """
        member = collection[:-1]
        answer = self.post(collection, {member: attributes})
        created: Json = answer.body[member]
        return answer.took_ms, created

    def create_all(self, collection: str, members: list[Json]) -> float:
        """POST many resources in one request; return the milliseconds that the answer took.

        :raises Refused: if they were not created.
        """
        return self.post(collection, {collection: members}).took_ms

    def list(self, path: str, number: int) -> float:
        """GET a list; return the milliseconds that the answer took.

        :raises Refused: if it has not ``number`` members.
        """
        answer = self.get(path)
        found = len(answer.body[path.partition("?")[0]])
        if found != number:
            raise Refused(f"GET {path}: {found} members, not {number}")
        return answer.took_ms

    def get(self, path: str, **headers: str) -> Answer:
        """GET a path below the API's version.

        :raises Refused: if there is nothing.
        """
        return self._send("GET", path, 200, None, headers)

    def post(self, collection: str, content: Json, **headers: str) -> Answer:
        """POST something.

        :raises Refused: if nothing was created.
        """
        return self._send("POST", collection, 201, json.dumps(content).encode(), headers)

    def _send(
        self,
        method: str,
        path: str,
        status: int,
        body: bytes | None,
        more: typing.Mapping[str, str],
    ) -> Answer:
        headers = {**more, "Content-Type": "application/json"}
        self._freshen()
        started = time.monotonic()
        self._connection.request(method, f"/v2.0/{path}", body, headers)
        answer = self._connection.getresponse()
        received = answer.read()
        self._used = time.monotonic()
        if answer.status != status:
            raise Refused(f"{method} {path}: {answer.status} {received!r}")
        return Answer(
            status=answer.status,
            headers=dict(answer.headers),
            body=json.loads(received) if received else None,
            took_ms=(self._used - started) * 1000,
            at=self._used,
        )

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _freshen(self) -> None:
        if time.monotonic() - self._used > _IDLE_S:
            self._connection.close()
            self._connection.connect()
