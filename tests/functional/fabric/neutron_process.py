# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Neutron's core plugin in a process of its own, on SQLite, without HTTP.

Neutron keeps one plugin, one configuration and one registry per process; a test that wants them set
up in its way runs functions over there: ``neutron.call(function, ...)`` calls
``function(plugin, ...)`` and returns what it returns, or raises what it raised.
"""

import contextlib
import multiprocessing
import os
import pathlib
import sys
import typing

_CONFIGURATION = """\
[DEFAULT]
core_plugin = {core_plugin}
service_plugins =
transport_url = fake://
rpc_workers = 0
notify_nova_on_port_status_changes = false
notify_nova_on_port_data_changes = false
[database]
connection = sqlite:///{folder}/neutron.db
[oslo_concurrency]
lock_path = {folder}
[ml2]
mechanism_drivers = {mechanism_drivers}
type_drivers = vlan
tenant_network_types = vlan
extension_drivers = port_security
[ml2_type_vlan]
network_vlan_ranges = physnet1:100:199
[fabric]
url = {fabric_url}
timeout_s = {fabric_timeout_s}
"""

#: Seconds; importing and starting Neutron takes about six on an idle machine.
_START_S = 120.0


class Neutron:
    """The test's end of the pipe."""

    def __init__(self, pipe: typing.Any) -> None:
        self._pipe = pipe

    def call(
        self, function: typing.Callable[..., typing.Any], *arguments: typing.Any
    ) -> typing.Any:
        """Return ``function(plugin, *arguments)``, run over there; it must be importable."""
        self._pipe.send((function, arguments))
        value, error = self._pipe.recv()
        if error is not None:
            error_class, state, error_arguments = error
            raised = error_class.__new__(error_class, *error_arguments)
            raised.__dict__.update(state)
            raise raised
        return value


@contextlib.contextmanager
def running(
    folder: pathlib.Path,
    *,
    mechanism_drivers: str,
    fabric_url: str = "",
    fabric_timeout_s: float = 10.0,
    core_plugin: str = "ml2",
) -> typing.Iterator[Neutron]:
    """Run Neutron with these mechanism drivers until the block ends; its log is in ``folder``."""
    configuration = folder / "neutron.conf"
    configuration.write_text(
        _CONFIGURATION.format(
            folder=folder,
            mechanism_drivers=mechanism_drivers,
            core_plugin=core_plugin,
            fabric_url=fabric_url,
            fabric_timeout_s=fabric_timeout_s,
        )
    )
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(there, str(configuration)), daemon=True)
    process.start()
    there.close()
    try:
        if not here.poll(_START_S):
            raise TimeoutError(f"Neutron is not up after {_START_S:.0f} s; see {folder}/log.")
        here.recv()
        yield Neutron(here)
    finally:
        process.kill()
        process.join()


def _serve(pipe: typing.Any, configuration: str) -> None:
    log = pathlib.Path(configuration).with_name("log").open("w")
    os.dup2(log.fileno(), sys.stdout.fileno())
    os.dup2(log.fileno(), sys.stderr.fileno())
    plugin = _start(configuration)
    pipe.send("ready")
    while True:
        function, arguments = pipe.recv()
        try:
            pipe.send((function(plugin, *arguments), None))
        except Exception as error:  # noqa: BLE001 - it is raised again at the other end
            pipe.send((None, (type(error), error.__dict__, error.args)))


def _start(configuration: str) -> typing.Any:
    from oslo_service import backend

    backend.init_backend(backend.BackendType.THREADING)

    from neutron import manager
    from neutron.api import extensions
    from neutron.common import config
    from neutron.db.migration.models import head
    from neutron_lib.api import attributes
    from neutron_lib.db import api as db_api
    from neutron_lib.plugins import directory

    config.register_common_config_options()
    config.init(["--config-file", configuration])
    head.get_metadata().create_all(db_api.CONTEXT_WRITER.get_engine())
    manager.init()
    extensions.PluginAwareExtensionManager.get_instance().extend_resources(
        "2.0", attributes.RESOURCES
    )
    return directory.get_plugin()
