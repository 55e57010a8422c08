# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What the driver finds to differ while it goes on as it would."""

import collections.abc
import contextlib
import typing

import pytest

from networking_workflow.drivers.ovn import compare


@contextlib.contextmanager
def noticed() -> collections.abc.Iterator[list[compare.Difference]]:
    """Fill a list with every difference that is found in the block."""
    stock, found = compare.differences, []

    def differences(*args: typing.Any) -> tuple[compare.Difference, ...]:
        differ = stock(*args)
        found.extend(differ)
        return differ

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(compare, "differences", differences)
        yield found


def names(found: collections.abc.Iterable[compare.Difference]) -> list[str]:
    """Return table and column of each, the table alone where the whole row differs."""
    return [f"{one.table} {one.column}".strip() for one in found]
