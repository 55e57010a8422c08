# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What may not come back because of what was made meanwhile: Neutron forbids it, not the database.

Subnets of one network do not overlap (``_validate_subnet_cidr`` in
``neutron/db/ipam_backend_mixin.py``), and no rule of a group repeats another
(``_check_for_duplicate_rules_in_db`` in ``neutron/db/securitygroups_db.py``), with which it would
share an ACL.
"""

import collections.abc
import ipaddress
import typing

import sqlalchemy as sa

from networking_workflow.capture import schema
from networking_workflow.plan import keys

Clashes = collections.abc.Callable[[schema.Values, schema.Values], bool]


def _overlap(one: schema.Values, other: schema.Values) -> bool:
    first, second = (ipaddress.ip_network(str(row["cidr"])) for row in (one, other))
    return first.overlaps(second)


def _repeat(one: schema.Values, other: schema.Values) -> bool:
    return keys.acl_reference(one) == keys.acl_reference(other)


#: table -> the column that brothers share, and when two of them clash
_OF: dict[str, tuple[str, Clashes]] = {
    "subnets": ("network_id", _overlap),
    "securitygrouprules": ("security_group_id", _repeat),
}


def clashing(
    connection: sa.Connection,
    coming: typing.Iterable[tuple[schema.RowName, schema.Values]],
    own: typing.Container[schema.RowName],
) -> schema.RowName | None:
    """Return a row with which one that is to come back would clash.

    Locks what it looks at: on MariaDB none like it can come before COMMIT.

    :param own: rows that the call itself has changed.
    """
    for name, row in coming:
        if name.table not in _OF:
            continue
        table, (parent, clash) = schema.tables()[name.table], _OF[name.table]
        brothers = sa.select(table).where(table.c[parent] == row[parent]).with_for_update()
        for brother in connection.execute(brothers).mappings():
            found = schema.name_of(table, brother)
            if found not in own and clash(row, dict(brother)):
                return found
    return None
