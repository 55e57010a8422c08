# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Engines that are loaded once and run again and again.

Building a flow and loading its engine takes TaskFlow as long as running it, and the first call of a
driver waits for all of it.
"""

import typing

from taskflow import engines, flow
from taskflow.persistence import models

from networking_workflow.engine import null

W = typing.TypeVar("W")

#: Returns a flow of tasks of these names, which ask ``work`` what to work on each time they run.
Build = typing.Callable[[tuple[str, ...], typing.Callable[[], W]], flow.Flow]

_NOTHING_KEPT = null.NullBackend()

#: Engines that one thread keeps, at most.
MOST = 32


class KeptEngines(typing.Generic[W]):
    """The serial engines of one thread, one for each sequence of tasks that it has run.

    A flow's tasks and its engine remember the run that they are in: never share them.
    """

    def __init__(self, build: Build[W]) -> None:
        self._build = build
        self._idle: dict[tuple[str, ...], _Loaded[W]] = {}

    def run(self, names: typing.Iterable[str], work: W) -> None:
        """Run tasks of these names on ``work``, and raise what one of them raises.

        An engine that something came out of is not used again.
        """
        key = tuple(names)
        loaded = self._idle.pop(key, None) or _Loaded(self._build, key)
        loaded.run(work)
        if len(self._idle) >= MOST:
            self._idle.clear()
        self._idle[key] = loaded


class _Loaded(typing.Generic[W]):
    def __init__(self, build: Build[W], names: tuple[str, ...]) -> None:
        self._work: W | None = None
        book = models.LogBook(" ".join(names))
        tasks = build(names, self._present)
        self._engine = engines.load(tasks, engine="serial", backend=_NOTHING_KEPT, book=book)

    def run(self, work: W) -> None:
        self._work = work
        self._engine.run()
        self._work = None  # or it would be kept as long as the engine
        self._engine.reset()

    def _present(self) -> W:
        if self._work is None:
            raise RuntimeError("A task ran outside of a run of its engine.")
        return self._work
