# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``Idempotency-Key``: a POST that is repeated answers with what the first one has made."""

import collections.abc
import dataclasses
import hashlib
import json
import re
import typing

import webob

from networking_workflow.api import prefer
from networking_workflow.capture import idempotency as capture
from networking_workflow.capture import restore
from networking_workflow.journal import idempotency

HEADER = "Idempotency-Key"

#: Says that the answer is about what an earlier call has made.
REPLAYED = "Idempotency-Replayed"

LONGEST_KEY = 255

#: Printable ASCII; servers take blanks at either end of a header away.
_KEY = re.compile(rf"[!-~](?:[ -~]{{0,{LONGEST_KEY - 2}}}[!-~])?")

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

#: Times that a call is begun: another call under its key may have undone what it was first with.
_TRIES = 3

Find = collections.abc.Callable[[idempotency.Key], idempotency.Entry | None]
Application = collections.abc.Callable[..., collections.abc.Iterable[bytes]]


def _stays() -> restore.Restored:
    return restore.Restored(done=False, why_not="An earlier call made it; what that changed stays.")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """An answer, and what its headers say."""

    response: webob.Response
    workflow_ids: collections.abc.Sequence[str] = ()
    operation_id: str = ""  #: of the call that opened the workflows
    undo: prefer.Undo = _stays  #: makes the database as it was before the call, if it still may


Call = collections.abc.Callable[[webob.Request], Answered]


class Refused(Exception):
    """The call is not made: an answer of 4xx."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        self.status, self.kind = status, kind
        super().__init__(message)

    @property
    def response(self) -> webob.Response:
        """Return the answer, in Neutron's shape of errors."""
        error = {"type": self.kind, "message": str(self), "detail": ""}
        return _json(self.status, {"NeutronError": error})


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What a POST with a key asks for."""

    key: idempotency.Key
    path: str  #: of the collection, below the version
    tables: frozenset[str]
    collection: str | None  #: name of the list in the body; None: it asks for one resource
    count: int


def is_asked_for(request: webob.Request) -> bool:
    """Return whether the header means something: other methods may be repeated anyway."""
    return request.method == "POST" and HEADER in request.headers


class Keys:
    """Answers calls that come with a key.

    :param find: returns what a key stands for, with no database connection kept afterwards.
    :param application: shows one resource as the caller may see it.
    """

    def __init__(self, find: Find, application: Application) -> None:
        self._find, self._application = find, application

    def answer(self, request: webob.Request, call: Call) -> Answered:
        """Return what ``call`` answers, or what the first call with the request's key has made."""
        try:
            return self._answer(request, wanted(request), call)
        except Refused as refused:
            return Answered(response=refused.response)

    def _answer(self, request: webob.Request, asked: Wanted, call: Call) -> Answered:
        for _ in range(_TRIES):
            entry = self._find(asked.key)
            if entry is not None and not entry.is_over:
                return self._repeat(request, asked, entry)
            posting = capture.Posting(
                key=asked.key, tables=asked.tables, wanted=asked.count, is_over=entry is not None
            )
            with capture.posting(posting):
                answered = call(request.copy())
            if not posting.is_taken:
                break
        return dataclasses.replace(answered, undo=lambda: _undone(posting, answered.undo))

    def _repeat(self, request: webob.Request, asked: Wanted, entry: idempotency.Entry) -> Answered:
        """Return the resources as they are now, in an answer like that of the first call.

        :raises Refused: if the first call asked for something else, or not all is there.
        """
        if entry.fingerprint != asked.key.fingerprint:
            raise Refused(
                422,
                "IdempotencyKeyReused",
                f"An earlier call with this {HEADER} asked for something else. Use a new key for a "
                "new resource.",
            )
        if len(entry.resource_ids) < asked.count:
            raise Refused(
                409,
                "IdempotentCallUnfinished",
                f"The first call with this {HEADER} has made {len(entry.resource_ids)} of "
                f"{asked.count} resources ({', '.join(entry.resource_ids)}): it is still under "
                "way, or was interrupted. Repeat the request, or delete these and use a new key.",
            )
        response = self._shown(request, asked, entry.resource_ids)
        if response.status_int == 201:
            response.headers[REPLAYED] = "true"
        return Answered(
            response=response,
            workflow_ids=entry.workflow_ids,
            operation_id=entry.operation_id,
        )

    def _shown(
        self, request: webob.Request, asked: Wanted, resource_ids: idempotency.Ids
    ) -> webob.Response:
        """Return the resources, or the first error but a missing one."""
        shown, gone = [], []
        for resource_id in resource_ids:
            reading = request.copy_get()
            reading.path_info, reading.query_string = f"{asked.path}/{resource_id}", ""
            answer = reading.get_response(self._application)
            if answer.status_int == 404:
                gone.append(resource_id)
            elif answer.status_int != 200:
                return answer
            else:
                shown.append(answer.json)
        if gone:
            raise Refused(
                410,
                "IdempotentResourceGone",
                f"The first call with this {HEADER} has made {', '.join(gone)}, deleted since. "
                "Use a new key for a new resource.",
            )
        if asked.collection is None:
            return _json(201, shown[0])
        return _json(201, {asked.collection: [next(iter(one.values())) for one in shown]})


def _undone(posting: capture.Posting, undo: prefer.Undo) -> restore.Restored:
    """Undo a call; its key goes with what it made."""
    with capture.posting(posting):
        return undo()


def wanted(request: webob.Request) -> Wanted:
    """Read what a POST with a key asks for.

    :raises Refused: if the key is malformed, or the collection takes none.
    """
    key = request.headers[HEADER].strip()
    if not _KEY.fullmatch(key):
        raise Refused(
            400,
            "InvalidIdempotencyKey",
            f"{HEADER} has 1 to {LONGEST_KEY} printable ASCII characters.",
        )
    path = request.path_info.rstrip("/").removesuffix(".json")
    parts = [_ID.sub("*", part).replace("-", "_") for part in path.strip("/").split("/")]
    tables = capture.COLLECTIONS.get("/".join(parts))
    if tables is None:
        raise Refused(
            400, "IdempotencyKeyNotSupported", f"POST {path} takes no {HEADER}. Leave it out."
        )
    body, canonical = _read(request.body)
    many = body.get(parts[-1]) if isinstance(body, dict) else None
    context = request.environ.get("neutron.context")
    return Wanted(
        key=idempotency.Key(
            project_id=getattr(context, "project_id", None) or "",
            key=key,
            fingerprint=_fingerprint(path, canonical),
        ),
        path=path,
        tables=tables,
        collection=parts[-1] if isinstance(many, list) else None,
        count=len(many) if isinstance(many, list) else 1,
    )


def _read(body: bytes) -> tuple[typing.Any, bytes]:
    """Return a body's value, and what is the same whatever the order of its names and its blanks.

    What is no JSON, or nested too deep, is refused by Neutron.
    """
    try:
        value = json.loads(body)
        return value, json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    except (ValueError, RecursionError):
        return None, body


def _fingerprint(path: str, body: bytes) -> str:
    return hashlib.sha256(b"POST " + path.encode() + b"\n" + body).hexdigest()


def _json(status: int, body: typing.Any) -> webob.Response:
    return webob.Response(status=status, content_type="application/json", json_body=body)
