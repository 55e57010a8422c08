# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Two threads in a fixed order: one stops before a statement until the test lets it go on."""

import collections.abc
import concurrent.futures
import contextlib
import threading
import typing

import sqlalchemy as sa

DEADLINE_S = 30.0

_Result = typing.TypeVar("_Result")


class Stop:
    """Where a thread waits: once, at the first statement (or COMMIT) that matches."""

    def __init__(self) -> None:
        self._reached = threading.Event()
        self._go = threading.Event()

    def wait_until_reached(self) -> None:
        """Return when the other thread has come here."""
        assert self._reached.wait(DEADLINE_S), "nobody came to the statement"

    def go_on(self) -> None:
        """Let the other thread run on."""
        self._go.set()

    def here(self) -> None:
        """Stop, unless somebody did before."""
        if not self._reached.is_set():
            self._reached.set()
            assert self._go.wait(DEADLINE_S), "nobody said to go on"


@contextlib.contextmanager
def stop_before(engine: sa.Engine, *words: str) -> collections.abc.Iterator[Stop]:
    """Stop the first thread that is about to send a statement with all ``words`` in it."""
    stop = Stop()

    def look(_connection, _cursor, statement, *_rest) -> None:
        if all(word in statement for word in words):
            stop.here()

    with _listening(engine, "before_cursor_execute", look, stop):
        yield stop


@contextlib.contextmanager
def stop_before_commit(engine: sa.Engine) -> collections.abc.Iterator[Stop]:
    """Stop the first thread that is about to commit."""
    stop = Stop()

    def look(_connection) -> None:
        stop.here()

    with _listening(engine, "commit", look, stop):
        yield stop


@contextlib.contextmanager
def _listening(
    engine: sa.Engine, event: str, look: typing.Any, stop: Stop
) -> collections.abc.Iterator[None]:
    sa.event.listen(engine, event, look)
    try:
        yield
    finally:
        stop.go_on()
        sa.event.remove(engine, event, look)


@contextlib.contextmanager
def in_thread(
    work: collections.abc.Callable[[], _Result],
) -> collections.abc.Iterator["concurrent.futures.Future[_Result]"]:
    """Run ``work`` beside the block; it has ended when the block has, unless the block fails."""
    executor = concurrent.futures.ThreadPoolExecutor(max_workers=1)
    future = executor.submit(work)
    try:
        yield future
    except BaseException:
        executor.shutdown(wait=False)
        raise
    executor.shutdown(wait=True)
