# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Write single columns and keys: what is found to differ, and nothing else of the row."""

import secrets
import typing

from networking_workflow.drivers.ovn import compare
from networking_workflow.drivers.ovn.apply import work as apply_work


def columns(
    nb: typing.Any,
    txn: typing.Any,
    found: typing.Iterable[compare.Difference],
    *,
    skip: frozenset[str] = frozenset(),
) -> None:
    """Add commands for differences of rows that are there; ``skip``: columns that OVN has not."""
    for one in found:
        if one.column.partition(":")[0] not in {"", *skip}:
            txn.add(column(nb, apply_work.record(nb, one.place), one))


def column(nb: typing.Any, record: typing.Any, one: compare.Difference) -> typing.Any:
    """Return the command that mends one column or key of the row ``record``."""
    name, _, key = one.column.partition(":")
    value = plain(one.expected)
    if not key:
        # No value, for a column that may have one, is an empty set.
        return nb.db_set(one.table, record, (name, [] if value in ("", None) else value))
    if value is None:
        return nb.db_remove(one.table, record, name, key, if_exists=True)
    return nb.db_set(one.table, record, (name, {key: value}))


def plain(expected: typing.Any) -> typing.Any:
    """Return a value that fulfils what is expected."""
    if isinstance(expected, compare.OneOf):
        return expected.preferred or min(expected.texts)
    if isinstance(expected, compare.NotZero):
        return secrets.SystemRandom().randrange(1, 2**32)  # as the label of an ACL: 32 bits
    if isinstance(expected, frozenset):
        return sorted(expected)
    return expected
