# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Rows of the local copy that refer to many others.

``Row._data`` of python ovs is read where the public attribute would build a list of thousands of
rows to look for one.
"""

import typing

from ovs.db import data as ovs_data
from ovs.db import types as ovs_types


def refers_to(row: typing.Any, column: str, other: typing.Any) -> bool:
    """Return whether a column of references holds one to ``other``."""
    atom = ovs_data.Atom(ovs_types.UuidType, other.uuid)
    return atom in row._data[column].values
