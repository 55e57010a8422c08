# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Neutron's core plugin in this process, without HTTP and without a conductor.

``python -m benchmarks.plugin <answer> <turns> <warm-up> <configuration file>...`` writes what
``benchmarks.capture`` reads.
"""

import functools
import json
import pathlib
import sys
import time
import typing

import sqlalchemy as sa

from benchmarks import pairs

Json = dict[str, typing.Any]


def _start(configuration: typing.Sequence[str]) -> typing.Any:
    """Return the core plugin of this configuration."""
    from oslo_service import backend

    backend.init_backend(backend.BackendType.THREADING)

    from neutron import manager
    from neutron.api import extensions
    from neutron.common import config
    from neutron_lib.api import attributes
    from neutron_lib.plugins import directory

    config.register_common_config_options()
    config.init([word for name in configuration for word in ("--config-file", name)])
    manager.init()
    extensions.PluginAwareExtensionManager.get_instance().extend_resources(
        "2.0", attributes.RESOURCES
    )
    return directory.get_plugin()


class Changes:
    """The changes that are measured, each as one call of the plugin with a context of its own."""

    def __init__(self, plugin: typing.Any) -> None:
        from neutron_lib.db import api as db_api

        self._plugin = plugin
        self._statements = 0
        engine = db_api.CONTEXT_WRITER.get_engine()
        sa.event.listen(engine, "before_cursor_execute", self._count)
        self.network_id = self.create_network()["id"]
        self._call("create_subnet", "subnet", cidr="10.0.0.0/16", ip_version=4)

    def turn(self, *, captured: bool) -> dict[str, tuple[float, float, int]]:
        """Make each change once; return its milliseconds, CPU milliseconds and statements."""
        from networking_workflow.capture import session

        if captured:
            session.install()
        else:
            session.uninstall()
        taken: dict[str, tuple[float, float, int]] = {}
        self._timed(taken, "create network", self.create_network)
        port = self._timed(taken, "create port", self._create_port)
        self._timed(taken, "update port", functools.partial(self._update_port, port["id"]))
        self._timed(taken, "delete port", functools.partial(self._delete_port, port["id"]))
        return taken

    def create_network(self) -> Json:
        """Create a network."""
        from neutron_lib.plugins import utils

        body = {"name": "bench", "admin_state_up": True, "shared": False, "tenant_id": "bench"}
        return dict(utils.create_network(self._plugin, self._context(), {"network": body}))

    def _create_port(self) -> Json:
        return self._call("create_port", "port", name="bench")

    def _update_port(self, port_id: str) -> Json:
        changed = self._plugin.update_port(self._context(), port_id, {"port": {"name": "changed"}})
        return dict(changed)

    def _delete_port(self, port_id: str) -> Json:
        self._plugin.delete_port(self._context(), port_id)
        return {}

    def _call(self, method: str, member: str, **attributes: typing.Any) -> Json:
        from neutron_lib.plugins import utils

        body = {"network_id": self.network_id, "tenant_id": "bench"} | attributes
        create = getattr(utils, method)
        return dict(create(self._plugin, self._context(), {member: body}))

    def _timed(
        self,
        taken: dict[str, tuple[float, float, int]],
        name: str,
        change: typing.Callable[[], Json],
    ) -> Json:
        before, worked, started = self._statements, time.process_time(), time.perf_counter()
        result = change()
        took_ms = (time.perf_counter() - started) * 1000
        worked_ms = (time.process_time() - worked) * 1000
        taken[name] = (took_ms, worked_ms, self._statements - before)
        return result

    def _count(self, *_: typing.Any) -> None:
        self._statements += 1

    @staticmethod
    def _context() -> typing.Any:
        from neutron_lib import context

        made = context.get_admin_context()
        made.project_id = "bench"
        return made


def main() -> None:
    """Measure, and write the answer."""
    answer, turns, warm_up, *configuration = sys.argv[1:]
    changes = Changes(_start(configuration))
    results = pairs.alternate(
        {
            "on": functools.partial(changes.turn, captured=True),
            "off": functools.partial(changes.turn, captured=False),
        },
        turns=int(turns),
        warm_up=int(warm_up),
    )
    pathlib.Path(answer).write_text(
        json.dumps(
            {
                side: {change: [turn[change] for turn in taken] for change in taken[0]}
                for side, taken in results.items()
            }
        )
    )


if __name__ == "__main__":
    main()
