# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The core plugin ``ml2_workflow``: ML2 whose backend work is recorded, and the API to see it."""

import functools
import typing

from neutron.api import wsgi
from neutron_lib.callbacks import events, registry, resources
from neutron_lib.db import utils as db_utils
from neutron_lib.plugins import directory
from oslo_config import cfg

from networking_workflow.api import (
    answers,
    browsers,
    headers,
    idempotency,
    prefer,
    startup,
    status,
    sync_state,
    tasks,
    workflows,
)
from networking_workflow.capture import plugin as capture_plugin
from networking_workflow.capture import seams
from networking_workflow.capture import workflows as capture_workflows
from networking_workflow.cmd import assembly, embedded, servers
from networking_workflow.conf import workflow as conf_workflow
from networking_workflow.drivers import registry as drivers
from networking_workflow.journal import journal as journals
from networking_workflow.model.modes import Mode
from networking_workflow.model.status import StatusMode

#: Of the API extension that every deployment with this plugin has.
ALIAS = "workflow"


@answers.answer_pending
class Ml2Plugin(workflows.WorkflowsApi, tasks.TasksApi, capture_plugin.CapturingMl2Plugin):
    """What operators name in ``core_plugin``.

    Neutron looks the three attributes up by the class's own name: without them it would read whole
    tables for one page, and answer a bad marker with an empty list.
    """

    __native_bulk_support = True
    __native_pagination_support = True
    __native_sorting_support = True

    def __init__(self) -> None:
        capture_plugin.exit_on_error(servers.refuse_a_later_fork)
        capture_plugin.exit_on_error(lambda: startup.check(cfg.CONF))
        self.mode = conf_workflow.mode(cfg.CONF)
        sync_state.install()
        status.install()
        browsers.allow()
        seams.see_every_request()
        super().__init__()
        self.capture_changes(self._lanes())
        self.deferred_binding = conf_workflow.deferred_binding(cfg.CONF)
        registry.subscribe(self._process_started, resources.PROCESS, events.AFTER_INIT)

    def _lanes(self) -> tuple[capture_workflows.Lane, ...]:
        """Return the lanes that a change is recorded for."""
        known = drivers.known_kinds(self)
        return tuple(
            capture_workflows.Lane(
                name=lane.name, drivers={driver: known[driver] for driver in lane.drivers}
            )
            for lane in conf_workflow.driver_graph(cfg.CONF, list(known)).lanes
        )

    def service_plugins_loaded(self) -> None:
        """Let what they answer say the state, too."""
        super().service_plugins_loaded()
        for kind, plugin in directory.get_plugins().items():
            answers.service_answers_pending(kind, plugin)

    def _process_started(
        self, _resource: str, _event: str, trigger: typing.Any, **_payload: typing.Any
    ) -> None:
        """Start what belongs to a process that serves the API: the conductor, or only its hints."""
        if trigger is wsgi.WorkerService:
            capture_plugin.exit_on_error(lambda: embedded.start_embedded(self))

    @functools.cached_property
    def journal(self) -> journals.Journal:
        """Return the journal for what the API itself is asked to do, with connections of its own.

        Made at the first use: no request is answered before a server has forked its workers.

        :raises ConfigurationError: if the database cannot be used as configured.
        """
        return journals.Journal(assembly.database(cfg.CONF, workers=0))

    def around_api(self, application: headers.Application) -> headers.Application:
        """Return ``application`` with the headers of ours that it answers and understands.

        And with another ``status``, if so configured.

        Called when all else of the API is made, and before its first request.
        """
        startup.load_policies()
        group = cfg.CONF[conf_workflow.GROUP]
        waiting = prefer.Waiting(
            lambda ids: self.journal.outcomes(ids),
            max_wait_s=group.max_wait_s,
            most=group.max_waiters,
        )
        if group.status_mode == StatusMode.EXTENDED:
            application = status.Extended(application)
        keys = idempotency.Keys(lambda key: self.journal.made_under(key), application)
        return headers.Around(application, waiting, keys, undoes=self.mode is Mode.DRIVE)

    @property
    def supported_extension_aliases(self) -> list[str]:
        """Return ML2's aliases and ours, which no mechanism driver has a say in.

        The same list each time: Neutron takes out of it what a service plugin does not support
        (``neutron.common.utils.disable_extension_by_service_plugin``).
        """
        aliases: list[str] = super().supported_extension_aliases
        if ALIAS not in aliases:
            aliases.append(ALIAS)
        return aliases

    @staticmethod
    def _make_address_group_dict(
        address_group: typing.Any, fields: list[str] | None = None
    ) -> dict[str, typing.Any]:
        """Extend what ML2 says of an address group: the only one that asks no extension."""
        resource: dict[str, typing.Any]
        resource = capture_plugin.CapturingMl2Plugin._make_address_group_dict(address_group)
        sync_state.extend(resource, address_group)
        chosen: dict[str, typing.Any] = db_utils.resource_fields(resource, fields)
        return chosen
