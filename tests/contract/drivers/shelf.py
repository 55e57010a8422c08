# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A driver of ``drivers.protocol`` without Neutron: rows and a backend in memory, and faults.

Each faulty driver works, and breaks one promise of the contract.
"""

import copy
import dataclasses
import itertools
import typing

from networking_workflow.drivers import protocol
from networking_workflow.model import errors, states

Json = dict[str, typing.Any]
Key = tuple[str, str]

KINDS = ("network", "port")


class Shelf:
    """The backend."""

    def __init__(self) -> None:
        self.bodies: dict[Key, Json] = {}
        self.reachable = True
        self._loses = False

    def observe(self, resource_type: str, resource_id: str) -> Json | None:
        return copy.deepcopy(self.bodies.get((resource_type, resource_id)))

    def stop(self) -> None:
        self.reachable = False

    def start(self) -> None:
        self.reachable = True

    def damage(self, resource_type: str, resource_id: str) -> None:
        assert (resource_type, resource_id) in self.bodies
        self.bodies[resource_type, resource_id]["name"] = "damaged"

    def lose_answer(self) -> None:
        self._loses = True

    # -- what the driver calls -------------------------------------------------------------------

    def health(self) -> None:
        if not self.reachable:
            raise errors.BackendUnreachable("nobody there")

    def get(self, key: Key) -> Json | None:
        self.health()
        return self.observe(*key)

    def put(self, key: Key, body: Json) -> None:
        self.health()
        self.bodies[key] = copy.deepcopy(body)
        self._answer()

    def remove(self, key: Key) -> None:
        """Remove it; KeyError if it is not there."""
        self.health()
        del self.bodies[key]
        self._answer()

    def _answer(self) -> None:
        if self._loses:
            self._loses = False
            raise errors.TransientFailure("no answer")


class Rows:
    """Neutron's rows."""

    def __init__(self) -> None:
        self.rows: dict[Key, Json] = {}
        self._numbers = itertools.count(1)

    def make(self, kind: str) -> protocol.Target:
        key = (kind, f"{kind}-{next(self._numbers)}")
        self.rows[key] = {"name": "made", "tags": ["first"]}
        return _target(key, states.Operation.CREATE)

    def change(
        self, target: protocol.Target, applied: typing.Mapping[str, typing.Any] | None
    ) -> protocol.Target:
        key, number = _key(target), next(self._numbers)
        original = self.rows[key]
        self.rows[key] = {"name": f"changed-{number}", "tags": [f"tag-{number}"]}
        return _target(key, states.Operation.UPDATE, applied, original=original)

    def remove(
        self, target: protocol.Target, applied: typing.Mapping[str, typing.Any] | None
    ) -> protocol.Target:
        deleted = self.rows.pop(_key(target))
        return _target(_key(target), states.Operation.DELETE, applied, deleted=deleted)

    def restore(self, target: protocol.Target) -> protocol.Target:
        self.rows[_key(target)] = {"name": "made", "tags": ["first"]}
        return _target(_key(target), states.Operation.CREATE)


class Driver:
    """Keeps the contract."""

    name = "shelf"

    def __init__(self, shelf: Shelf, rows: Rows) -> None:
        self.shelf, self.rows = shelf, rows

    def handles(self, resource_type: str, operation: states.Operation) -> bool:
        return resource_type in KINDS

    def apply(self, target: protocol.Target) -> typing.Mapping[str, typing.Any] | None:
        body = self.rows.rows[_key(target)]
        self.shelf.put(_key(target), body)
        return {"body": body}

    def delete(self, target: protocol.Target) -> None:
        self.shelf.health()
        if _key(target) in self.shelf.bodies:
            self.shelf.remove(_key(target))

    def probe(self) -> None:
        self.shelf.health()

    def observe(self, resource_type: str, resource_id: str) -> typing.Any:
        return self.shelf.get((resource_type, resource_id))


class Unhandled(Driver):
    """Has no task for deletes."""

    def handles(self, resource_type: str, operation: states.Operation) -> bool:
        return resource_type in KINDS and operation is not states.Operation.DELETE


class HandlesAll(Driver):
    def handles(self, resource_type: str, operation: states.Operation) -> bool:
        return True


class Lies(Driver):
    """Says that it was done, and did nothing."""

    def apply(self, target: protocol.Target) -> typing.Mapping[str, typing.Any] | None:
        self.shelf.health()
        return {}


class Counts(Driver):
    """Adds something with each call."""

    def apply(self, target: protocol.Target) -> typing.Mapping[str, typing.Any] | None:
        before = self.shelf.get(_key(target)) or {"calls": 0}
        body = self.rows.rows[_key(target)] | {"calls": before["calls"] + 1}
        self.shelf.put(_key(target), body)
        return {}


class AddsToChanges(Driver):
    """Its create is idempotent, its update adds to what is there."""

    def apply(self, target: protocol.Target) -> typing.Mapping[str, typing.Any] | None:
        body = dict(self.rows.rows[_key(target)])
        if target.applied:
            before = self.shelf.get(_key(target)) or {}
            body["log"] = [*before.get("log", ()), body["name"]]
        self.shelf.put(_key(target), body)
        return {"body": body}


class Tuples(Driver):
    """Returns what JSON makes something else of."""

    def apply(self, target: protocol.Target) -> typing.Mapping[str, typing.Any] | None:
        super().apply(target)
        return {"names": ("one", "two")}


class OnlyCreates(Driver):
    """Leaves what is there as it is."""

    def apply(self, target: protocol.Target) -> typing.Mapping[str, typing.Any] | None:
        if self.shelf.get(_key(target)) is None:
            super().apply(target)
        return {}


class OnlyUpdates(Driver):
    """Takes an update for something that is there, whatever became of its create."""

    def apply(self, target: protocol.Target) -> typing.Mapping[str, typing.Any] | None:
        absent = self.shelf.get(_key(target)) is None
        if target.operation is states.Operation.UPDATE and absent:
            return {}
        return super().apply(target)


class RefusesToRepeat(Driver):
    """Its create is an error if the thing is there."""

    def apply(self, target: protocol.Target) -> typing.Mapping[str, typing.Any] | None:
        if not target.applied and self.shelf.get(_key(target)) is not None:
            raise errors.PermanentFailure("it exists")
        return super().apply(target)


class Sweeps(Driver):
    """Deletes everything of a kind."""

    def delete(self, target: protocol.Target) -> None:
        self.shelf.health()
        for key in [key for key in self.shelf.bodies if key[0] == target.resource_type]:
            self.shelf.remove(key)


class TrustsTheOriginal(Driver):
    """Sends the difference to what it is told was there before, and looks at nothing."""

    def apply(self, target: protocol.Target) -> typing.Mapping[str, typing.Any] | None:
        body = self.rows.rows[_key(target)]
        there = self.shelf.get(_key(target))
        if target.applied and there:
            before, now = set(target.applied["body"]["tags"]), set(body["tags"])
            tags = sorted((set(there["tags"]) - (before - now)) | (now - before))
            self.shelf.put(_key(target), body | {"tags": tags})
        else:
            self.shelf.put(_key(target), body)
        return {"body": body}


class RemembersDeletes(Driver):
    """Believes that what was deleted never comes back."""

    def __init__(self, shelf: Shelf, rows: Rows) -> None:
        super().__init__(shelf, rows)
        self._gone: set[Key] = set()

    def apply(self, target: protocol.Target) -> typing.Mapping[str, typing.Any] | None:
        return {} if _key(target) in self._gone else super().apply(target)

    def delete(self, target: protocol.Target) -> None:
        super().delete(target)
        self._gone.add(_key(target))


class Keeps(Driver):
    """Deletes nothing."""

    def delete(self, target: protocol.Target) -> None:
        self.shelf.health()


class MissesTheAbsent(Driver):
    """Cannot delete what is not there."""

    def delete(self, target: protocol.Target) -> None:
        try:
            self.shelf.remove(_key(target))
        except KeyError as error:
            raise errors.PermanentFailure("no such thing") from error


class DeletesTheApplied(Driver):
    """Deletes nothing if it does not know of a success."""

    def delete(self, target: protocol.Target) -> None:
        self.shelf.health()
        if target.applied:
            super().delete(target)


class DeletesTheUnchanged(Driver):
    """Deletes only what is as it was last applied."""

    def delete(self, target: protocol.Target) -> None:
        there = self.shelf.get(_key(target))
        if there is None or (target.applied and there != target.applied["body"]):
            return
        super().delete(target)


class SeesNothing(Driver):
    def observe(self, resource_type: str, resource_id: str) -> typing.Any:
        return {"id": resource_id}


class ObservesItsMemory(Driver):
    """Says of its backend what it told it."""

    def __init__(self, shelf: Shelf, rows: Rows) -> None:
        super().__init__(shelf, rows)
        self._told: dict[Key, typing.Any] = {}

    def apply(self, target: protocol.Target) -> typing.Mapping[str, typing.Any] | None:
        applied = super().apply(target)
        self._told[_key(target)] = applied
        return applied

    def delete(self, target: protocol.Target) -> None:
        super().delete(target)
        self._told.pop(_key(target), None)

    def observe(self, resource_type: str, resource_id: str) -> typing.Any:
        return self._told.get((resource_type, resource_id))


class SkipsTheKnown(ObservesItsMemory):
    """Sends nothing that it has sent before, whatever became of it."""

    def apply(self, target: protocol.Target) -> typing.Mapping[str, typing.Any] | None:
        body = self.rows.rows[_key(target)]
        if self._told.get(_key(target)) == {"body": body}:
            self.shelf.health()
            return {"body": body}
        return super().apply(target)

    def observe(self, resource_type: str, resource_id: str) -> typing.Any:
        return self.shelf.get((resource_type, resource_id))


class GivesUpAfterALostAnswer(Driver):
    """Takes what is there after a lost answer for somebody else's."""

    def __init__(self, shelf: Shelf, rows: Rows) -> None:
        super().__init__(shelf, rows)
        self._doubtful: set[Key] = set()

    def apply(self, target: protocol.Target) -> typing.Mapping[str, typing.Any] | None:
        if _key(target) in self._doubtful:
            raise errors.PermanentFailure("it belongs to somebody else")
        try:
            return super().apply(target)
        except errors.TransientFailure:
            self._doubtful.add(_key(target))
            raise


class SwallowsOutages(Driver):
    """Logs that nobody is there, and goes on."""

    def apply(self, target: protocol.Target) -> typing.Mapping[str, typing.Any] | None:
        try:
            return super().apply(target)
        except errors.BackendUnreachable:
            return {}


class TakesOutagesForFailures(Driver):
    """Spends the workflow's attempts while nobody is there."""

    def apply(self, target: protocol.Target) -> typing.Mapping[str, typing.Any] | None:
        try:
            return super().apply(target)
        except errors.BackendUnreachable as error:
            raise errors.TransientFailure(error.detail) from error


class SaysItIsThere(Driver):
    """Its probe knows no outage."""

    def probe(self) -> None:
        """Return whatever happens."""


class NoReader(Driver):
    """Offers no observation; the rest of the contract holds."""

    observing = False


def _key(target: protocol.Target) -> Key:
    return (target.resource_type, target.resource_id)


def _target(
    key: Key,
    operation: states.Operation,
    applied: typing.Mapping[str, typing.Any] | None = None,
    **snapshot: Json,
) -> protocol.Target:
    made = protocol.Target(
        resource_type=key[0], resource_id=key[1], operation=operation, applied=applied
    )
    return dataclasses.replace(made, snapshot=snapshot or None)
