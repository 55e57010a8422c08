# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A client with one kept-alive connection: what is timed is the server, not the client."""

import http.client
import json
import time
import typing

Json = dict[str, typing.Any]

#: Seconds; below the server's keep-alive, so that no request meets a connection just closed.
_IDLE_S = 30.0


class Refused(Exception):
    """The server answered with another status than 201 or 204."""


class Client:
    """Creates resources through HTTP, one request at a time; not for several threads."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self._used = 0.0

    def create(self, collection: str, **attributes: typing.Any) -> tuple[float, Json]:
        """POST one resource; return the milliseconds that the answer took, and the resource.

        :raises Refused: if it was not created.
        """
        member = collection[:-1]
        took_ms, answer = self._post(collection, {member: attributes})
        created: Json = answer[member]
        return took_ms, created

    def create_all(self, collection: str, members: list[Json]) -> float:
        """POST many resources in one request; return the milliseconds that the answer took.

        :raises Refused: if they were not created.
        """
        return self._post(collection, {collection: members})[0]

    def _post(self, collection: str, content: Json) -> tuple[float, Json]:
        body = json.dumps(content).encode()
        self._freshen()
        started = time.perf_counter()
        self._connection.request(
            "POST", f"/v2.0/{collection}", body, {"Content-Type": "application/json"}
        )
        answer = self._connection.getresponse()
        received = answer.read()
        took_ms = (time.perf_counter() - started) * 1000
        self._used = time.monotonic()
        if answer.status != 201:
            raise Refused(f"POST {collection}: {answer.status} {received!r}")
        created: Json = json.loads(received)
        return took_ms, created

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _freshen(self) -> None:
        if time.monotonic() - self._used > _IDLE_S:
            self._connection.close()
            self._connection.connect()
