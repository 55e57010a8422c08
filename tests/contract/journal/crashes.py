# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Ending a conductor in the middle: whatever it was doing is abandoned."""

import collections.abc
import contextlib

from networking_workflow.journal import failpoints


class Killed(BaseException):
    """The process ends here: nothing catches it."""


@contextlib.contextmanager
def killed_at(failpoint: str) -> collections.abc.Iterator[None]:
    """Run the block until it comes to ``failpoint``, and no further; it must come there."""

    def die() -> None:
        raise Killed

    failpoints.arm(failpoint, die)
    try:
        yield
    except Killed:
        return
    finally:
        failpoints.disarm(failpoint)
    raise AssertionError(f"the block never came to {failpoint}")
