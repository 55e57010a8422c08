# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What the fabric holds, and the append-only record of every effect it was asked for."""

import contextlib
import dataclasses
import json
import sqlite3
import threading
import time
import typing

#: The kinds of objects, and which field of each refers to which other kind.
KINDS: dict[str, dict[str, str]] = {
    "network": {},
    "subnet": {"network_id": "network"},
    "port": {"network_id": "network"},
    "binding": {},
}

_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    kind TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, id));
CREATE TABLE IF NOT EXISTS refs (
    kind TEXT NOT NULL, id TEXT NOT NULL, to_kind TEXT NOT NULL, to_id TEXT NOT NULL,
    PRIMARY KEY (kind, id, to_kind, to_id));
CREATE INDEX IF NOT EXISTS refs_to ON refs (to_kind, to_id);
CREATE TABLE IF NOT EXISTS record (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, started_at REAL NOT NULL, finished_at REAL NOT NULL,
    method TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL, body TEXT, status INTEGER,
    answer TEXT, changed INTEGER NOT NULL, workflow_id TEXT NOT NULL, task_id TEXT NOT NULL);
"""

Json = dict[str, typing.Any]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Effect:
    """One change that a client asks for."""

    method: str  #: PUT or DELETE
    kind: str
    id: str
    body: Json | None
    started_at: float  #: seconds since the epoch, when the request had arrived
    workflow_id: str = ""
    task_id: str = ""


class Answer(typing.NamedTuple):
    """What the client is told."""

    status: int
    body: Json


class Store:
    """The objects and the record, in one SQLite file or in memory; safe for threads."""

    def __init__(self, path: str | None = None) -> None:
        # In WAL mode without an fsync per commit: a killed process loses nothing.
        self._connection = sqlite3.connect(
            path or ":memory:", check_same_thread=False, isolation_level=None
        )
        self._lock = threading.Lock()
        self._appended = threading.Condition(self._lock)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def get(self, kind: str, object_id: str) -> Json | None:
        """Return one object's body, or None."""
        with self._lock:
            return self._body(kind, object_id)

    def all(self, kind: str) -> dict[str, Json]:
        """Return every object of a kind by its id."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT id, body FROM objects WHERE kind = ? ORDER BY id", (kind,)
            ).fetchall()
        return {object_id: json.loads(body) for object_id, body in rows}

    def do(self, effect: Effect) -> Answer:
        """Make one change if references allow it, and record it; the order is that of ``seq``."""
        with self._lock, self._transaction():
            before = self._body(effect.kind, effect.id)
            answer = (
                self._put(effect, before)
                if effect.method == "PUT"
                else self._delete(effect, before)
            )
            changed = self._body(effect.kind, effect.id) != before
            self._append(effect, answer, changed=changed)
        return answer

    def refuse(self, effect: Effect, answer: Answer | None) -> None:
        """Record an effect that was refused, or (None) cut off without an answer."""
        with self._lock, self._transaction():
            self._append(effect, answer, changed=False)

    def record(self, *, since: int = 0, wait_s: float = 0.0) -> list[Json]:
        """Return what was asked for after ``since``; wait up to ``wait_s`` seconds for a first."""
        with self._appended:
            self._appended.wait_for(lambda: self._last_seq() > since, timeout=wait_s)
            rows = self._connection.execute(
                "SELECT * FROM record WHERE seq > ? ORDER BY seq", (since,)
            )
            names = [column[0] for column in rows.description]
            entries = [dict(zip(names, row, strict=True)) for row in rows]
        for entry in entries:
            entry["changed"] = bool(entry["changed"])
            for name in ("body", "answer"):
                entry[name] = json.loads(entry[name]) if entry[name] is not None else None
        return entries

    def _put(self, effect: Effect, before: Json | None) -> Answer:
        body = effect.body or {}
        references = {
            (kind, str(body[field]))
            for field, kind in KINDS[effect.kind].items()
            if body.get(field) is not None
        }
        for kind, object_id in sorted(references):
            if self._body(kind, object_id) is None:
                return Answer(
                    409,
                    {
                        "error": "missing",
                        "missing": {"kind": kind, "id": object_id},
                        "message": f"{effect.kind} {effect.id} refers to {kind} {object_id}, which "
                        "the fabric does not have.",
                    },
                )
        key = (effect.kind, effect.id)
        self._connection.execute("REPLACE INTO objects VALUES (?, ?, ?)", (*key, json.dumps(body)))
        self._connection.execute("DELETE FROM refs WHERE kind = ? AND id = ?", key)
        self._connection.executemany(
            "INSERT INTO refs VALUES (?, ?, ?, ?)", [(*key, *reference) for reference in references]
        )
        return Answer(201 if before is None else 200, body)

    def _delete(self, effect: Effect, before: Json | None) -> Answer:
        key = (effect.kind, effect.id)
        if before is None:
            return Answer(
                404,
                {"error": "not_found", "message": f"The fabric has no {effect.kind} {effect.id}."},
            )
        user = self._connection.execute(
            "SELECT kind, id FROM refs WHERE to_kind = ? AND to_id = ? ORDER BY kind, id LIMIT 1",
            key,
        ).fetchone()
        if user:
            return Answer(
                409,
                {
                    "error": "in_use",
                    "in_use": {"kind": user[0], "id": user[1]},
                    "message": f"{effect.kind} {effect.id} is used by {user[0]} {user[1]}.",
                },
            )
        self._connection.execute("DELETE FROM objects WHERE kind = ? AND id = ?", key)
        self._connection.execute("DELETE FROM refs WHERE kind = ? AND id = ?", key)
        return Answer(200, before)

    def _append(self, effect: Effect, answer: Answer | None, *, changed: bool) -> None:
        self._connection.execute(
            "INSERT INTO record (started_at, finished_at, method, kind, id, body, status, answer,"
            " changed, workflow_id, task_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                effect.started_at,
                time.time(),
                effect.method,
                effect.kind,
                effect.id,
                json.dumps(effect.body) if effect.body is not None else None,
                answer.status if answer else None,
                json.dumps(answer.body) if answer else None,
                changed,
                effect.workflow_id,
                effect.task_id,
            ),
        )
        self._appended.notify_all()

    def _body(self, kind: str, object_id: str) -> Json | None:
        row = self._connection.execute(
            "SELECT body FROM objects WHERE kind = ? AND id = ?", (kind, object_id)
        ).fetchone()
        return json.loads(row[0]) if row else None

    def _last_seq(self) -> int:
        (seq,) = self._connection.execute("SELECT COALESCE(MAX(seq), 0) FROM record").fetchone()
        return int(seq)

    @contextlib.contextmanager
    def _transaction(self) -> typing.Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
