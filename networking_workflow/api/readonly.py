# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Collections that can only be read: what is no action of theirs is answered with 405."""

import typing

import webob.exc
from neutron.api import extensions
from neutron.api.v2 import base, resource
from neutron_lib.api import faults

from networking_workflow.api import fields

_READ = {"Allow": "GET"}

#: Methods that Neutron has no route for at a collection: it would answer with 404.
_NO_ROUTE = {"update": "PUT", "delete": "DELETE"}


class ReadOnlyController(base.Controller):
    """Neutron's controller without its writing half.

    The stock one answers a write with 400 or, where the plugin has no such method, with 500.
    """

    def __init__(
        self,
        plugin: typing.Any,
        collection: str,
        member: str,
        attributes: dict[str, fields.Attribute],
    ) -> None:
        self.collection = collection
        super().__init__(
            plugin, collection, member, attributes, allow_pagination=True, allow_sorting=True
        )

    def _refuse(self, *_args: typing.Any, **_kwargs: typing.Any) -> None:
        """Refuse, before anything is looked up.

        :raises HTTPMethodNotAllowed: always.
        """
        raise webob.exc.HTTPMethodNotAllowed(f"{self._collection} can only be read.", headers=_READ)

    create = update = delete = _refuse


def extension(
    controller: ReadOnlyController, attributes: dict[str, fields.Attribute], *actions: str
) -> extensions.ResourceExtension:
    """Return a top-level collection whose plugin methods are ``get_<collection|member>``.

    ``actions`` are methods of the controller: ``PUT`` under one member, or under the collection.
    """
    routes = dict.fromkeys(actions, "PUT")
    return extensions.ResourceExtension(
        controller.collection,
        resource.Resource(controller, faults.FAULT_MAP),
        attr_map=attributes,
        collection_methods=_NO_ROUTE,
        collection_actions=routes,
        member_actions=routes,
    )
