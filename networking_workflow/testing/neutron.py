# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Neutron's core plugin in a process of its own, on SQLite, without HTTP.

Neutron keeps one plugin, one configuration and one registry per process; a test that wants them set
up in its way runs functions over there: ``neutron.call(function, ...)`` calls
``function(plugin, ...)`` and returns what it returns, or raises what it raised.
"""

import contextlib
import gc
import multiprocessing
import os
import pathlib
import pickle
import sys
import traceback
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

#: Seconds that one call may take; longer than a driver waits for its backend, with retries.
_ANSWER_S = 300.0

#: Characters of its log that an error repeats.
_TAIL = 2000


class Neutron:
    """The test's end of the pipe."""

    def __init__(
        self, pipe: typing.Any, process: typing.Any, log: pathlib.Path, answer_s: float
    ) -> None:
        self._pipe, self._process = pipe, process
        self._log, self._answer_s = log, answer_s

    def call(
        self, function: typing.Callable[..., typing.Any], *arguments: typing.Any
    ) -> typing.Any:
        """Return ``function(plugin, *arguments)``, run over there; it must be importable.

        What it raises is raised here; as a RuntimeError with its text if it cannot be sent.

        :raises RuntimeError: if the process has ended, or does not answer in time, which ends it;
            the text has the end of its log.
        """
        value, error = self._answer(function, arguments)
        if error is not None:
            error_class, state, error_arguments = error
            raised = error_class.__new__(error_class, *error_arguments)
            raised.__dict__.update(state)
            raise raised
        return value

    def _answer(
        self, function: typing.Callable[..., typing.Any], arguments: tuple[typing.Any, ...]
    ) -> typing.Any:
        try:
            self._pipe.send((function, arguments))
            if self._pipe.poll(self._answer_s):
                return self._pipe.recv()
        except (EOFError, ConnectionError) as error:
            self._process.join()
            raise RuntimeError(
                f"Neutron's process has ended with {self._process.exitcode}; {_end_of(self._log)}"
            ) from error
        # An answer that came later would be taken for that of the next call.
        self._process.kill()
        self._process.join()
        raise RuntimeError(
            f"{function.__qualname__}() did not return within {self._answer_s:g} s, and Neutron's "
            f"process was killed; {_end_of(self._log)}"
        )


@contextlib.contextmanager
def running(
    folder: pathlib.Path,
    *,
    mechanism_drivers: str,
    core_plugin: str = "ml2_workflow",
    configuration: str = "",
    answer_s: float = _ANSWER_S,
) -> typing.Iterator[Neutron]:
    """Run Neutron with these mechanism drivers until the block ends; its log is in ``folder``.

    Nothing runs the workflows that its changes record.

    :param configuration: more of neutron.conf, with its sections.
    :param answer_s: seconds that one call may take.
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
    with serving(_start, files, answer_s=answer_s) as process:
        yield process


@contextlib.contextmanager
def serving(
    start: typing.Callable[[str], typing.Any], configuration: pathlib.Path, *, answer_s: float
) -> typing.Iterator[Neutron]:
    """Run ``start(configuration)`` in a process of its own; what it returns is the plugin there.

    :raises RuntimeError: if it raises; the text has the end of the log, beside the configuration.
    """
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(there, start, str(configuration)), daemon=True)
    process.start()
    there.close()
    log = configuration.with_name("log")
    try:
        _wait_until_ready(here, log)
        yield Neutron(here, process, log, answer_s)
    finally:
        process.kill()
        process.join()


def _wait_until_ready(pipe: typing.Any, log: pathlib.Path) -> None:
    try:
        if not pipe.poll(_START_S):
            raise RuntimeError(f"Neutron is not up after {_START_S:.0f} s; see {log}.")
        pipe.recv()
    except EOFError as error:
        raise RuntimeError(f"Neutron did not start; {_end_of(log)}") from error


def _end_of(log: pathlib.Path) -> str:
    said = log.read_text()[-_TAIL:] if log.exists() else ""
    return f"the end of {log}:\n{said}"


def _serve(pipe: typing.Any, start: typing.Callable[[str], typing.Any], configuration: str) -> None:
    log = pathlib.Path(configuration).with_name("log").open("w")
    os.dup2(log.fileno(), sys.stdout.fileno())
    os.dup2(log.fileno(), sys.stderr.fileno())
    gc.disable()  # starting makes much and frees nothing
    plugin = start(configuration)
    gc.freeze()
    gc.enable()
    pipe.send("ready")
    while True:
        function, arguments = pipe.recv()
        try:
            pipe.send((function(plugin, *arguments), None))
        except Exception as error:  # noqa: BLE001 - it is raised again at the other end
            pipe.send((None, _as_sent(error)))


def _as_sent(
    error: Exception,
) -> tuple[type[Exception], dict[str, typing.Any], tuple[typing.Any, ...]]:
    """Return an error's parts, or those of one that says the same, where they cannot be sent."""
    parts = (type(error), error.__dict__, error.args)
    try:
        pickle.loads(pickle.dumps(parts))
    except Exception as why:  # noqa: BLE001 - whatever the parts' own methods raise
        told = "".join(traceback.format_exception(error))
        return RuntimeError, {}, (f"{told}It cannot be sent as it is: {why}",)
    return parts


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
