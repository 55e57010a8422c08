# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""API dicts of rows that a flush is about to delete, made by Neutron's own functions.

Called in ``before_flush``: the object is complete there, its relations can still be loaded, and the
session does not flush again while they are. Networks, subnets and ports are not here: ML2 hands
their dicts over before the flush (see ``capture.mechanisms``), with what only ML2 adds.
"""

import json
import typing

from neutron.objects import address_group as address_group_objects
from neutron.objects import securitygroup as security_group_objects


def of_deleted(
    plugin: typing.Any, context: typing.Any, kind: str, row: typing.Any
) -> dict[str, typing.Any] | None:
    """Return the API dict of ``row``, an ORM object; ``None`` for kinds that are not made here.

    ``context`` must be the one whose session flushes: another would open a transaction of its own.
    """
    api: typing.Any = None
    if kind == "security_group":
        group = security_group_objects.SecurityGroup._load_object(context, row)
        api = plugin._make_security_group_dict(context, group)
    elif kind == "security_group_rule":
        api = plugin._make_security_group_rule_dict(row)
    elif kind == "address_group":
        addresses = address_group_objects.AddressGroup._load_object(context, row)
        api = plugin._make_address_group_dict(addresses)
    return typing.cast("dict[str, typing.Any] | None", frozen(api))


def frozen(value: typing.Any) -> typing.Any:
    """Return a deep copy of ``value`` as JSON knows it: ML2 goes on changing its own dicts."""
    return json.loads(json.dumps(value, default=str))
