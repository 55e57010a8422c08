# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``neutron-workflow-conductor``: runs workflows in a process of its own.

Takes the same configuration files as neutron-api. Ends with 0 after SIGTERM or SIGINT, with 1 and
one line on stderr if something is configured wrongly; it never runs half configured.
"""

import logging
import signal
import sys
import threading
import typing

import neutron  # noqa: F401 - first: it chooses oslo.service's threads before anything else can
from neutron import manager, server, service
from neutron.api import extensions
from neutron.common import config
from neutron_lib.api import attributes
from neutron_lib.callbacks import events, registry, resources
from neutron_lib.plugins import directory
from oslo_config import cfg

from networking_workflow.capture import calls
from networking_workflow.cmd import assembly
from networking_workflow.conductor import loop
from networking_workflow.conf import workflow as conf_workflow
from networking_workflow.model import errors

LOG = logging.getLogger(__name__)

PROGRAM = "neutron-workflow-conductor"


class AlreadySaid(errors.ConfigurationError):
    """The plugin's own checks have written their line."""


class LastError(logging.Handler):
    """Remembers the last error that was logged: Neutron logs why it exits, and exits with 1."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.text = "no reason was logged"

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the text."""
        self.text = " ".join(record.getMessage().split())


def main(arguments: typing.Sequence[str] | None = None) -> int:
    """Run until told to stop; return the exit status."""
    stop = threading.Event()
    try:
        _read_configuration(sys.argv[1:] if arguments is None else list(arguments))
        made = _assemble(stop)
        if made is not None:
            assembly.start(made, cfg.CONF)
    except AlreadySaid:
        return 1
    except errors.ConfigurationError as error:
        LOG.critical("%s", error)
        sys.stderr.write(f"{PROGRAM}: {error}\n")
        return 1
    if made is not None:
        stop.wait()
        LOG.info("Stopping: what runs gets %s s to finish", cfg.CONF.workflow.drain_s)
        made.stop()
    return 0


def _read_configuration(arguments: list[str]) -> None:
    """Read the files that neutron-api would read, and set logging up.

    :raises ConfigurationError: if they cannot be read or an option of ours is wrong.
    """
    config.register_common_config_options()
    conf_workflow.register_opts(cfg.CONF)
    try:
        config.init(arguments, default_config_files=server._get_config_files(), prog=PROGRAM)
    except (cfg.Error, RuntimeError) as error:
        raise errors.ConfigurationError(f"{_one_line(error)}") from error
    config.setup_logging()
    config.set_config_defaults()
    conf_workflow.check(cfg.CONF)


def _assemble(stop: threading.Event) -> loop.Conductor | None:
    """Boot Neutron and return the conductor; None if the process was told to stop meanwhile.

    :raises ConfigurationError: if plugin, drivers or database are not what they must be.
    """
    engine = assembly.database(cfg.CONF, cfg.CONF.workflow.workers)
    assembly.check_database(engine)
    assembly.read_causally(cfg.CONF, engine)
    plugin = _load_plugin()
    # After the plugin, since what it loads may install handlers of its own.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: _told_to_stop(received, stop))
    if not _initialise_drivers(stop):
        return None
    made = assembly.conductor(plugin, cfg.CONF, engine)
    calls.AFTER_COMMIT.append(made.hint)  # of what drivers write while they run
    return made


def _load_plugin() -> typing.Any:
    """Load the core plugin and the service plugins as neutron-rpc-server does.

    :raises ConfigurationError: if one cannot be loaded, or the core plugin records no workflows.
    """
    logged = LastError()
    logging.getLogger().addHandler(logged)
    try:
        manager.init()
    except (SystemExit, ImportError, RuntimeError, cfg.Error) as error:
        if isinstance(error.__cause__, errors.ConfigurationError):
            raise AlreadySaid(str(error.__cause__)) from error
        raise errors.ConfigurationError(
            f"Neutron's plugins cannot be loaded: {logged.text.rstrip('.')}. Correct core_plugin, "
            "service_plugins or [ml2] in the configuration files."
        ) from error
    finally:
        logging.getLogger().removeHandler(logged)
    # Not imported before the configuration was read: at its import it prepares the database.
    from networking_workflow.capture import plugin as capture_plugin

    plugin = directory.get_plugin()
    if not isinstance(plugin, capture_plugin.CapturingMl2Plugin):
        raise errors.ConfigurationError(
            f"core_plugin = {cfg.CONF.core_plugin} records no workflows: set core_plugin = "
            "ml2_workflow, here and for neutron-api."
        )
    extensions.PluginAwareExtensionManager.get_instance().extend_resources(
        "2.0", attributes.RESOURCES
    )
    return plugin


def _initialise_drivers(stop: threading.Event) -> bool:
    """Let mechanism drivers connect to their backends; False if told to stop before they could.

    OVN's waits for its databases as long as they are away, so it does in a thread. The trigger must
    be exactly this class: OVN compares it, and without a match every access to its databases blocks
    for ever.
    """
    done = threading.Event()

    def publish() -> None:
        registry.publish(resources.PROCESS, events.AFTER_INIT, service.RpcWorker)
        done.set()

    threading.Thread(target=publish, name="workflow-boot", daemon=True).start()
    waited_s = 0
    while not done.wait(1.0):
        if stop.is_set():
            return False
        waited_s += 1
        if waited_s % 30 == 0:
            LOG.warning("Mechanism drivers wait for their backends since %d s", waited_s)
    return not stop.is_set()


def _told_to_stop(received: int, stop: threading.Event) -> None:
    """Stop at the first signal; a second one of its kind ends the process at once."""
    signal.signal(received, signal.SIG_DFL)
    stop.set()


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


if __name__ == "__main__":
    sys.exit(main())
