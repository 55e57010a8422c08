# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What thousands of rows of the local copy say, read quickly.

``Row._data`` of python ovs is read where the public attribute would build a list of thousands of
rows to look for one, or a dict for each of thousands of rows.
"""

import typing

from ovs.db import data as ovs_data
from ovs.db import types as ovs_types


def refers_to(row: typing.Any, column: str, other: typing.Any) -> bool:
    """Return whether a column of references holds one to ``other``."""
    atom = ovs_data.Atom(ovs_types.UuidType, other.uuid)
    return atom in row._data[column].values


def items(row: typing.Any, column: str) -> list[tuple[str, str]]:
    """Return the keys of a map of texts, with their values."""
    return [(key.value, value.value) for key, value in row._data[column].values.items()]


def text(row: typing.Any, column: str) -> str:
    """Return a text, which every row has."""
    (atom,) = row._data[column].values
    return str(atom.value)
