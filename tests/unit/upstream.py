# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Whether upstream's code is what it was when ours was written against it."""

import collections.abc
import hashlib
import inspect
import typing

from networking_workflow import releases

#: A digest that all supported releases of Neutron share, or one for each; SQLAlchemy's and
#: ovsdbapp's are those that ``constraints*.txt`` of the release have.
Recorded = str | collections.abc.Mapping[int, str]

#: Whose record holds: a release that is not supported yet is held against the newest that is.
RELEASE = min(releases.installed(), max(releases.SUPPORTED))


def digest(thing: typing.Any) -> str:
    """Return a short digest of the source of a class, function or module."""
    return hashlib.sha256(inspect.getsource(thing).encode()).hexdigest()[:12]


def moved(thing: typing.Any, recorded: Recorded) -> str:
    """Return in words that a source is not the recorded one; nothing if it is."""
    expected = recorded if isinstance(recorded, str) else recorded[RELEASE]
    found = digest(thing)
    if found == expected:
        return ""
    name = getattr(thing, "__qualname__", "") or "the module"
    where = inspect.getmodule(thing)
    return (
        f"{name} in {where.__name__ if where else 'an unknown module'} is not the one of "
        f"Neutron {RELEASE}: its digest is {found}, not {expected}"
    )
