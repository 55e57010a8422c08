# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Write single columns and keys: what is found to differ, and nothing else of the row."""

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
        column, _, key = one.column.partition(":")
        if not column or column in skip:
            continue
        record, value = apply_work.record(nb, one.place), plain(one.expected)
        if not key:
            # No value, for a column that may have one, is an empty set.
            txn.add(nb.db_set(one.table, record, (column, [] if value == "" else value)))
        elif value is None:
            txn.add(nb.db_remove(one.table, record, column, key, if_exists=True))
        else:
            txn.add(nb.db_set(one.table, record, (column, {key: value})))


def plain(expected: typing.Any) -> typing.Any:
    """Return a value that fulfils what is expected."""
    return min(expected.texts) if isinstance(expected, compare.OneOf) else expected
