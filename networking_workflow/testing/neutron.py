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

#: Sections of the caller's come behind it; what they say of the same option wins.
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
[workflow]
conductor = separate
{more}
"""

#: Seconds; importing and starting Neutron takes about six on an idle machine.
_START_S = 180.0

#: Characters of its log that an error repeats.
_TAIL = 2000


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
    core_plugin: str = "ml2_workflow",
    configuration: str = "",
) -> typing.Iterator[Neutron]:
    """Run Neutron with these mechanism drivers until the block ends; its log is in ``folder``.

    Nothing runs the workflows that its changes record.

    :param configuration: more of neutron.conf, with its sections.
    :raises RuntimeError: if it does not start; the text has the end of its log.
    """
    files = folder / "neutron.conf"
    files.write_text(
        _CONFIGURATION.format(
            folder=folder,
            mechanism_drivers=mechanism_drivers,
            core_plugin=core_plugin,
            more=configuration,
        )
    )
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(there, str(files)), daemon=True)
    process.start()
    there.close()
    try:
        _wait_until_ready(here, folder / "log")
        yield Neutron(here)
    finally:
        process.kill()
        process.join()


def _wait_until_ready(pipe: typing.Any, log: pathlib.Path) -> None:
    try:
        if not pipe.poll(_START_S):
            raise RuntimeError(f"Neutron is not up after {_START_S:.0f} s; see {log}.")
        pipe.recv()
    except EOFError as error:
        said = log.read_text()[-_TAIL:] if log.exists() else ""
        raise RuntimeError(f"Neutron did not start; the end of {log}:\n{said}") from error


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

    from networking_workflow.capture import seams
    from networking_workflow.journal import schema

    config.register_common_config_options()
    config.init(["--config-file", configuration])
    seams.queue_sqlite_writers()
    engine = db_api.CONTEXT_WRITER.get_engine()
    head.get_metadata().create_all(engine)
    schema.create_all(engine)
    manager.init()
    extensions.PluginAwareExtensionManager.get_instance().extend_resources(
        "2.0", attributes.RESOURCES
    )
    return directory.get_plugin()
