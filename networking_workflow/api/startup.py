# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What must be right before a process with this plugin serves anything."""

import importlib.metadata

from neutron import policy
from neutron_lib import context
from neutron_lib.db import api as db_api
from oslo_config import cfg
from oslo_db import exception as db_exc

from networking_workflow.conf import drivers as conf_drivers
from networking_workflow.conf import workflow as conf_workflow
from networking_workflow.drivers import registry
from networking_workflow.journal import lanes, schema
from networking_workflow.model import errors, keys

_DRIVERS = "neutron.ml2.mechanism_drivers"


def check(conf: cfg.ConfigOpts) -> None:
    """Check options, drivers' names and database.

    An unreachable database is waited for as long as [database] max_retries and retry_interval say.

    :raises ConfigurationError: says what is wrong and what to do.
    """
    conf_workflow.register_opts(conf)
    conf_workflow.conductor_settings(conf)
    _check_drivers(conf.ml2.mechanism_drivers)
    conf_drivers.limits(conf, conf.ml2.mechanism_drivers)
    conf_workflow.deferred_binding(conf)
    try:
        with db_api.get_reader_session() as session, session.begin():
            schema.check(session.connection())
    except db_exc.DBError as error:
        raise errors.ConfigurationError(
            f"The database of [database] connection does not answer: {_first_line(error)}. "
            "Start it, or correct the URL."
        ) from error
    _settle_lanes(conf)


def _settle_lanes(conf: cfg.ConfigOpts) -> None:
    """Note which lane each driver is in, from now on.

    :raises ConfigurationError: if the configured graph is none, or cannot be taken up now.
    """
    placed = conf_workflow.placed_drivers(conf)
    with db_api.get_reader_session() as session, session.begin():
        if lanes.known(session.connection()) == placed:
            return
    db_api.retry_db_errors(_take_up)(placed)


def _take_up(placed: dict[str, str]) -> None:
    # What OVN's driver knows is every kind: what is said there is said anew by each change.
    home = placed.get(registry.OVN) or min(placed.values(), default=keys.DEFAULT_LANE)
    with db_api.get_writer_session() as session, session.begin():
        lanes.settle(session.connection(), placed, home)


def load_policies() -> None:
    """Load the rules of policy now, once Neutron's extensions are there.

    Neutron loads them in the first request, step by step, into what a second one uses meanwhile:
    it finds no rule yet and answers 403 (``init`` of ``neutron/policy.py``, and of
    ``neutron_lib/policy/_engine.py`` when a caller's context is made).
    """
    policy.init()
    context.Context()


def _check_drivers(configured: list[str]) -> None:
    """Name what is not installed; stock ML2 does too, but ends in a way that gunicorn repeats."""
    installed = {entry.name for entry in importlib.metadata.entry_points(group=_DRIVERS)}
    unknown = [name for name in configured if name and name not in installed]
    if unknown:
        raise errors.ConfigurationError(
            f"[ml2] mechanism_drivers = {','.join(configured)}: {', '.join(unknown)} is not "
            f"installed; these are: {', '.join(sorted(installed))}. Correct the name, or install "
            "the driver's package."
        )


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
