# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""How the fabric misbehaves while somebody watches: slow, failing, hanging, gone."""

import dataclasses
import random
import threading
import time
import typing

from networking_workflow.drivers.fabric import store

#: A target is ``*``, a kind (``port``) or one object (``port/<id>``).
Targets = tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Behaviour:
    """What the next requests meet; everything off by default.

    :raises ValueError: from :meth:`parse`, if a value is unknown or out of range.
    """

    latency_s: float = 0.0  #: seconds that every effect takes
    slow: typing.Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Target -> seconds that effects on it take, if that is more."""

    failure_rate: float = 0.0  #: 0 to 1: share of effects answered with 503
    fail_next: int = 0  #: this many effects are answered with 503
    fail: typing.Mapping[str, store.Json] = dataclasses.field(default_factory=dict)
    """Target -> ``{"status": 400, "message": "...", "method": "PUT"}``; method is optional."""

    hang: Targets = ()  #: effects on these get no answer until the behaviour changes
    lie: Targets = ()  #: effects on these are answered as if they were made, and are not
    drop_answers: int = 0  #: this many effects are made, and the connection is closed unanswered
    outage: bool = False  #: every connection is closed unanswered; only this switch still works

    @classmethod
    def parse(cls, body: store.Json) -> "Behaviour":
        """Return the behaviour that a JSON object asks for; what it does not name is off."""
        unknown = set(body) - {field.name for field in dataclasses.fields(cls)}
        if unknown:
            raise ValueError(f"Unknown behaviour: {', '.join(sorted(unknown))}.")
        targets = {name: tuple(body.get(name, ())) for name in ("hang", "lie")}
        wanted = cls(**{**body, **targets})
        if min(wanted.latency_s, *wanted.slow.values(), 0) < 0 or not 0 <= wanted.failure_rate <= 1:
            raise ValueError(
                "latency_s and slow want at least 0 seconds, failure_rate a share from 0 to 1."
            )
        return wanted


def names(effect: store.Effect) -> tuple[str, str, str]:
    """Return the targets that mean this effect, the most exact first."""
    return (f"{effect.kind}/{effect.id}", effect.kind, "*")


class Gate:
    """Holds the behaviour, and every effect on its way to the store passes here."""

    def __init__(self) -> None:
        self._behaviour = Behaviour()
        self._changed = threading.Condition()
        self._in_flight: list[store.Effect] = []

    @property
    def behaviour(self) -> Behaviour:
        """Return how the fabric behaves now."""
        return self._behaviour

    def set(self, wanted: Behaviour) -> None:
        """Change the behaviour; effects that hang look again."""
        with self._changed:
            self._behaviour = wanted
            self._changed.notify_all()

    def in_flight(self, *, at_least: int = 0, wait_s: float = 0.0) -> list[store.Effect]:
        """Return effects without an answer yet; wait up to ``wait_s`` for ``at_least`` of them."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._in_flight) >= at_least, timeout=wait_s)
            return list(self._in_flight)

    def enter(self, effect: store.Effect) -> store.Answer | None:
        """Wait as long as the behaviour says; return a refusal, or None to go on."""
        with self._changed:
            self._in_flight.append(effect)
            self._changed.notify_all()
            due = time.monotonic() + self._latency_s(effect)
            self._changed.wait_for(lambda: self._behaviour.outage, timeout=due - time.monotonic())
            self._changed.wait_for(lambda: self._behaviour.outage or not self._hangs(effect))
            return self._refusal(effect)

    def leave(self, effect: store.Effect) -> None:
        """Note that the effect is over, however it ended."""
        with self._changed:
            self._in_flight.remove(effect)
            self._changed.notify_all()

    def lies(self, effect: store.Effect) -> bool:
        """Return whether the effect is to be answered as if it were made."""
        return not set(self._behaviour.lie).isdisjoint(names(effect))

    def drops_answer(self) -> bool:
        """Return whether the answer of an effect just made is to be lost; counts it."""
        with self._changed:
            dropped = self._behaviour.drop_answers > 0
            if dropped:
                self._count_down("drop_answers")
            return dropped

    def _latency_s(self, effect: store.Effect) -> float:
        slow = [self._behaviour.slow.get(target, 0.0) for target in names(effect)]
        return max(self._behaviour.latency_s, *slow)

    def _hangs(self, effect: store.Effect) -> bool:
        return not set(self._behaviour.hang).isdisjoint(names(effect))

    def _refusal(self, effect: store.Effect) -> store.Answer | None:
        for target in names(effect):
            fault = self._behaviour.fail.get(target)
            if fault is not None and fault.get("method", effect.method) == effect.method:
                message = fault.get("message", "The fabric was told to fail this.")
                return store.Answer(
                    int(fault.get("status", 500)), {"error": "told_to", "message": message}
                )
        busy = self._behaviour.fail_next > 0
        if busy:
            self._count_down("fail_next")
        # Not a secret: chance here decides which test request fails.
        if busy or random.random() < self._behaviour.failure_rate:
            return store.Answer(503, {"error": "busy", "message": "The fabric is busy."})
        return None

    def _count_down(self, field: str) -> None:
        left = getattr(self._behaviour, field) - 1
        self._behaviour = dataclasses.replace(self._behaviour, **{field: left})
