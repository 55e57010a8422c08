# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The API extension ``workflow``: two collections, and ``sync_state`` on what is programmed."""

import typing

from neutron.api import extensions
from neutron_lib.api import extensions as api_extensions
from neutron_lib.plugins import directory
from oslo_config import cfg

from networking_workflow.api import (
    actions,
    fields,
    policies,
    readonly,
    status,
    sync_state,
    tasks,
    workflows,
)
from networking_workflow.conf import workflow as conf_workflow
from networking_workflow.model.status import StatusMode

ALIAS = "workflow"

_OWN = {
    workflows.COLLECTION: workflows.ATTRIBUTES,
    tasks.COLLECTION: tasks.ATTRIBUTES,
}


class Workflow(api_extensions.ExtensionDescriptor):  # type: ignore[misc]  # Neutron has no types
    """Loaded by Neutron, which looks for the module's name as a class."""

    @classmethod
    def get_name(cls) -> str:
        """Return the name that ``GET /v2.0/extensions`` shows."""
        return "Workflows"

    @classmethod
    def get_alias(cls) -> str:
        """Return the alias that the core plugin supports."""
        return ALIAS

    @classmethod
    def get_description(cls) -> str:
        """Return what the extension adds."""
        return (
            "How far the network backends have followed what the API accepted: workflows, their "
            "tasks, and sync_state on resources"
        )

    @classmethod
    def get_updated(cls) -> str:
        """Return when the attributes last changed."""
        return "2026-11-26T00:00:00-00:00"

    @classmethod
    def get_resources(cls) -> list[extensions.ResourceExtension]:
        """Return the collections; the core plugin serves them."""
        plugin = directory.get_plugin()
        workflow = actions.WorkflowsController(
            plugin, workflows.COLLECTION, workflows.MEMBER, workflows.ATTRIBUTES
        )
        task = readonly.ReadOnlyController(plugin, tasks.COLLECTION, tasks.MEMBER, tasks.ATTRIBUTES)
        return [
            readonly.extension(workflow, workflows.ATTRIBUTES, *policies.ACTIONS),
            readonly.extension(task, tasks.ATTRIBUTES),
        ]

    def get_extended_resources(self, version: str) -> dict[str, dict[str, fields.Attribute]]:
        """Return the attributes of our collections, and those that other collections gain."""
        if version != "2.0":
            return {}
        gained = sync_state.gained()
        if cfg.CONF[conf_workflow.GROUP].status_mode == StatusMode.EXTENDED:
            status.extend(gained)
        return gained | _OWN

    def get_optional_extensions(self) -> typing.Sequence[str]:
        """Return what must have added its collections before ours are extended."""
        return ["security-group", "address-group", "router", "qos", "trunk"]
