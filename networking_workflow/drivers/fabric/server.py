# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The fabric's HTTP API on the standard library's threading server.

=======  ===========================  ===================================================
PUT      /v1/<kind>/<id>              make or replace; 409 ``missing`` names what it lacks
DELETE   /v1/<kind>/<id>              404 if absent; 409 ``in_use`` names who uses it
GET      /v1/<kind>/<id>, /v1/<kind>  one body; all as ``{"items": {id: body}}``
GET      /v1/health                   200 while the fabric can be used
GET PUT  /v1/behaviour                see ``behaviour.Behaviour``; PUT sets all, PATCH some
GET      /v1/record                   every effect asked for; ?since=<seq> and ?wait_s=<s>
GET      /v1/in-flight                effects without answer; ?at_least=<n> and ?wait_s=<s>
=======  ===========================  ===================================================

Kinds are those of ``store.KINDS``. Effects carry the headers X-Workflow-Id and X-Task-Id.
"""

import argparse
import contextlib
import dataclasses
import json
import socket
import sys
import threading
import time
import typing
import urllib.parse

# Not ``import http.server``: where Neutron 29 is loaded, eventlet has left a copy of its own at
# that attribute of the package, and its locks stop real threads.
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from networking_workflow.drivers.fabric import behaviour, store


class FabricServer(ThreadingHTTPServer):
    """One fabric; ``listen`` is (host, port), port 0 lets the system choose."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, listen: tuple[str, int], store_path: str | None = None) -> None:
        self.store = store.Store(store_path)
        self.gate = behaviour.Gate()
        self._sockets: set[socket.socket] = set()
        super().__init__(listen, _Handler)

    @property
    def url(self) -> str:
        """Return the base URL, without a slash at its end."""
        return f"http://{self.server_address[0]!s}:{self.server_address[1]}"

    @contextlib.contextmanager
    def running(self) -> typing.Iterator["FabricServer"]:
        """Serve from a thread of this process until the block ends."""
        thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.gate.set(behaviour.Behaviour())
            self.shutdown()
            thread.join()
            self.server_close()

    def get_request(self) -> tuple[socket.socket, typing.Any]:
        """Accept a connection, and remember it."""
        accepted, address = super().get_request()
        self._sockets.add(accepted)
        return accepted, address

    def shutdown_request(self, request: typing.Any) -> None:
        """Close a connection."""
        self._sockets.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """Stop for good: kept-alive connections would be answered otherwise."""
        super().server_close()
        for accepted in tuple(self._sockets):
            with contextlib.suppress(OSError):
                accepted.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: typing.Any, client_address: typing.Any) -> None:
        """Say nothing of clients that went away; they are part of what is tested."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave in one segment
    server: FabricServer

    def do_GET(self) -> None:
        match self._path():
            case ["behaviour"]:
                self._answer(200, dataclasses.asdict(self.server.gate.behaviour))
            case ["record"]:
                since, wait_s = int(self._query("since")), self._query("wait_s")
                self._answer(200, {"record": self.server.store.record(since=since, wait_s=wait_s)})
            case ["in-flight"]:
                at_least, wait_s = int(self._query("at_least")), self._query("wait_s")
                effects = self.server.gate.in_flight(at_least=at_least, wait_s=wait_s)
                self._answer(200, {"in_flight": [dataclasses.asdict(effect) for effect in effects]})
            case _ if self.server.gate.behaviour.outage:
                self._cut_off()
            case ["health"]:
                self._answer(200, {"status": "ok"})
            case [kind] if kind in store.KINDS:
                self._answer(200, {"items": self.server.store.all(kind)})
            case [kind, object_id] if kind in store.KINDS:
                self._show(kind, object_id)
            case _:
                self._not_found()

    def do_PUT(self) -> None:
        body = self._body()
        match self._path():
            case ["behaviour"]:
                self._behave({}, body)
            case [kind, object_id] if kind in store.KINDS and body is not None:
                self._effect(kind, object_id, body)
            case _:
                self._not_found()

    def do_PATCH(self) -> None:
        body = self._body()
        if self._path() == ["behaviour"]:
            self._behave(dataclasses.asdict(self.server.gate.behaviour), body)
        else:
            self._not_found()

    def do_DELETE(self) -> None:
        match self._path():
            case [kind, object_id] if kind in store.KINDS:
                self._effect(kind, object_id, None)
            case _:
                self._not_found()

    def _effect(self, kind: str, object_id: str, body: store.Json | None) -> None:
        effect = store.Effect(
            method=self.command,
            kind=kind,
            id=object_id,
            body=body,
            started_at=time.time(),
            workflow_id=self.headers.get("X-Workflow-Id", ""),
            task_id=self.headers.get("X-Task-Id", ""),
        )
        gate = self.server.gate
        try:
            answer = gate.enter(effect)
            if gate.behaviour.outage:
                self.server.store.refuse(effect, None)
                self._cut_off()
            elif answer is not None:
                self.server.store.refuse(effect, answer)
                self._answer(*answer)
            elif gate.lies(effect):
                answer = store.Answer(200, effect.body or {})
                self.server.store.refuse(effect, answer)
                self._answer(*answer)
            else:
                answer = self.server.store.do(effect)
                if gate.drops_answer():
                    self._cut_off()
                else:
                    self._answer(*answer)
        finally:
            gate.leave(effect)

    def _behave(self, now: store.Json, body: store.Json | None) -> None:
        try:
            wanted = behaviour.Behaviour.parse({**now, **(body or {})})
        except (ValueError, TypeError) as error:
            self._answer(400, {"error": "bad_request", "message": str(error)})
            return
        self.server.gate.set(wanted)
        self._answer(200, dataclasses.asdict(wanted))

    def _show(self, kind: str, object_id: str) -> None:
        body = self.server.store.get(kind, object_id)
        if body is None:
            self._not_found()
        else:
            self._answer(200, body)

    def _not_found(self) -> None:
        self._answer(404, {"error": "not_found", "message": f"There is no {self.path} here."})

    def _cut_off(self) -> None:
        self.close_connection = True
        # The client may have closed first.
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _answer(self, status: int, body: store.Json) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _path(self) -> list[str]:
        parts = urllib.parse.urlsplit(self.path).path.strip("/").split("/")
        return parts[1:] if parts[0] == "v1" else []

    def _query(self, name: str) -> float:
        values = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query).get(name, ["0"])
        return float(values[-1])

    def _body(self) -> store.Json | None:
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            body = json.loads(data or b"null")
        except ValueError:
            return None
        return body if isinstance(body, dict) else None

    def log_message(self, format: str, *args: typing.Any) -> None:
        """Keep quiet: the record says more than a log would."""


def main(argv: typing.Sequence[str] | None = None) -> int:
    """Run a fabric until it is interrupted; the first line printed is its URL."""
    parser = argparse.ArgumentParser(
        prog="networking-workflow-fabric", description="A small network controller over HTTP."
    )
    parser.add_argument(
        "--listen",
        metavar="<host:port>",
        default="127.0.0.1:0",
        help="Address to listen on; port 0 takes a free one and the URL is printed "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--store",
        metavar="<path>",
        help="SQLite file that keeps objects and record across restarts (default: memory only)",
    )
    arguments = parser.parse_args(argv)
    host, _, port = arguments.listen.rpartition(":")
    server = FabricServer((host, int(port)), arguments.store)
    sys.stdout.write(f"{server.url}\n")
    sys.stdout.flush()
    with contextlib.suppress(KeyboardInterrupt), server:
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
