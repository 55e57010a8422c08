# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Room for the frames of Python calls.

CPython 3.11 keeps a thread's frames in chunks of 16 KiB (``push_chunk`` in ``Python/pystate.c``). A
call that does not fit into the last one maps another and unmaps it when it returns; where the calls
of a busy loop lie at such a boundary each pays for that. Creating a port had between 5 and 7,500
page faults, and took 220 to 420 ms, depending on how deep it was called: docs/decisions/014.
"""

import typing

_T = typing.TypeVar("_T")

#: Words that a frame is made to want: a chunk of 256 KiB, whose second half is for what it calls.
#: A thread of an API or a conductor uses 30 to 50 KiB.
_WORDS = 16 * 1024


def with_room(call: typing.Callable[[], _T]) -> _T:
    """Return ``call()``; what it calls finds its frames in one chunk.

    17 microseconds; of the 256 KiB only what the frames touch is memory.
    """
    return call()


with_room.__code__ = with_room.__code__.replace(co_stacksize=_WORDS)
