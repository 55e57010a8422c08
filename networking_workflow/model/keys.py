# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Keys: what a workflow holds while it is unfinished, and in which mode."""

import enum
import typing

#: The chain of drivers that a workflow belongs to when nothing else is configured.
DEFAULT_LANE = "default"

#: Longest key in characters: lane (32), type, id (36) and for ACL keys a digest (40).
MAX_KEY_LENGTH = 128


class Mode(enum.StrEnum):
    """How a workflow holds a key."""

    SHARED = "S"  #: relies on the resource
    EXCLUSIVE = "X"  #: changes the resource


class Key(typing.NamedTuple):
    """One resource in one lane; written as ``lane:type/id``, and sorted by that text."""

    lane: str
    resource_type: str
    resource_id: str

    def __str__(self) -> str:
        return f"{self.lane}:{self.resource_type}/{self.resource_id}"


def strongest(takes: typing.Iterable[tuple[str, Mode]]) -> dict[str, Mode]:
    """Return each key once, sorted, in the strongest mode that ``takes`` asks for."""
    modes: dict[str, Mode] = {}
    for key, mode in takes:
        if modes.get(key) is not Mode.EXCLUSIVE:
            modes[key] = mode
    return dict(sorted(modes.items()))
