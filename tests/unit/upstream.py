# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Whether upstream's code is what it was when ours was written against it."""

import hashlib
import inspect
import typing


def digest(thing: typing.Any) -> str:
    """Return a short digest of the source of a class, function or module."""
    return hashlib.sha256(inspect.getsource(thing).encode()).hexdigest()[:12]
