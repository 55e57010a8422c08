# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Waiting for something that another process does, with a deadline."""

import threading
import time
import typing

T = typing.TypeVar("T")

_NEVER_SET = threading.Event()

#: Seconds between two looks: who looks takes the time of a processor from who is waited for.
_FIRST_S, _LONGEST_S = 0.02, 0.1


class DeadlinePassed(AssertionError):
    """What was waited for did not come in time."""


def wait_until(
    predicate: typing.Callable[[], T],
    deadline_s: float,
    what: str | typing.Callable[[], str],
    *,
    every_s: float | None = None,
) -> T:
    """Return the first true value of ``predicate()``; ask again every ``every_s`` seconds.

    Without ``every_s`` that is soon at first, and less often the longer it takes.

    ``what`` ends the sentence "waited N s for ..."; a callable is asked when the deadline has
    passed, so that it can say how things stood then.

    :raises DeadlinePassed: if there was none within ``deadline_s`` seconds.
    """
    started = time.monotonic()
    while True:
        value = predicate()
        if value:
            return value
        waited_s = time.monotonic() - started
        if waited_s > deadline_s:
            text = what() if callable(what) else what
            raise DeadlinePassed(f"waited {waited_s:.1f} s for {text}; last answer: {value!r}")
        pause_s = every_s or min(max(_FIRST_S, waited_s / 20), _LONGEST_S)
        _NEVER_SET.wait(min(pause_s, deadline_s))
