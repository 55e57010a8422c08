# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""API dicts of rows that a flush is about to delete.

Called in ``before_flush``: the object is complete there, its relations can still be loaded, and the
session does not flush again while they are. Neutron's own functions make the dicts from the ORM
object; never from a versioned object, whose loading may end a block of the request's transaction,
which flushes, which a flushing session refuses. Networks, subnets and ports are not here: ML2 hands
their dicts over before the flush (see ``capture.mechanisms``), with what only ML2 adds.
"""

import json
import typing


def of_deleted(
    plugin: typing.Any, context: typing.Any, kind: str, row: typing.Any
) -> dict[str, typing.Any] | None:
    """Return the API dict of ``row``, an ORM object; ``None`` for kinds that are not made here.

    ``context`` must be the one whose session flushes: another would open a transaction of its own.
    """
    api: typing.Any = None
    if kind == "security_group":
        api = plugin._make_security_group_dict(context, row)
    elif kind == "security_group_rule":
        api = plugin._make_security_group_rule_dict(row)
    elif kind == "address_group":
        api = _address_group(row)
    return typing.cast("dict[str, typing.Any] | None", frozen(api))


def _address_group(row: typing.Any) -> dict[str, typing.Any]:
    """Return what ``_make_address_group_dict`` says, which wants a versioned object."""
    return {
        "id": row.id,
        "name": row.name,
        "description": row.description,
        "project_id": row.project_id,
        "addresses": [str(association.address) for association in row.addresses],
        "standard_attr_id": row.standard_attr_id,
    }


def frozen(value: typing.Any) -> typing.Any:
    """Return a deep copy of ``value`` as JSON knows it: ML2 goes on changing its own dicts."""
    return json.loads(json.dumps(value, default=str))
