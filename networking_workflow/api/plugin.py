# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The core plugin ``ml2_workflow``: ML2 whose backend work is recorded, and the API to see it."""

import typing

from neutron.plugins.ml2 import plugin as capture_plugin
from neutron_lib.db import utils as db_utils
from oslo_config import cfg

from networking_workflow.api import startup, sync_state, tasks, workflows
from networking_workflow.model import errors

#: Of the API extension that every deployment with this plugin has.
ALIAS = "workflow"


class Ml2Plugin(workflows.WorkflowsApi, tasks.TasksApi, capture_plugin.Ml2Plugin):
    """What operators name in ``core_plugin``.

    Neutron looks the three ``native`` attributes up by the class's own name: without them it would
    read whole tables for one page, and answer a bad marker with an empty list.
    """

    __native_bulk_support = True
    __native_pagination_support = True
    __native_sorting_support = True

    def __init__(self) -> None:
        try:
            startup.check(cfg.CONF)
        except errors.ConfigurationError as error:
            startup.refuse(error)
        sync_state.install()
        super().__init__()

    @property
    def supported_extension_aliases(self) -> list[str]:
        """Return ML2's aliases and ours, which no mechanism driver has a say in."""
        return [*super().supported_extension_aliases, ALIAS]

    @staticmethod
    def _make_address_group_dict(
        address_group: typing.Any, fields: list[str] | None = None
    ) -> dict[str, typing.Any]:
        """Extend what ML2 says of an address group: the only one that asks no extension."""
        resource = capture_plugin.Ml2Plugin._make_address_group_dict(address_group)
        sync_state.extend(resource, address_group)
        return db_utils.resource_fields(resource, fields)
