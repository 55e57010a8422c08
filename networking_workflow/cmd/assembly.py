# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Puts a conductor together from the configuration and the loaded core plugin."""

import dataclasses
import typing

import sqlalchemy as sa
from oslo_config import cfg
from oslo_db import options as db_options

from networking_workflow.conductor import loop
from networking_workflow.conf import drivers as conf_drivers
from networking_workflow.conf import workflow as conf_workflow
from networking_workflow.drivers import protocol, registry
from networking_workflow.journal import engine as journal_engine
from networking_workflow.journal import galera, journal, schema
from networking_workflow.model import errors
from networking_workflow.plan import keys

#: Database connections of a conductor besides one for each worker: lease, poll, chores, probes.
_CONNECTIONS = 4


def database(conf: cfg.ConfigOpts, workers: int) -> sa.Engine:
    """Return a conductor's own engine on Neutron's database; it connects to nothing yet.

    :raises ConfigurationError: if there is no usable URL.
    """
    conf.register_opts(db_options.database_opts, "database")
    if not conf.database.connection:
        raise errors.ConfigurationError(
            "[database] connection is not set: give it the URL of Neutron's database, the same as "
            "for neutron-api."
        )
    try:
        return journal_engine.make_engine(
            conf.database.connection, pool_size=workers + _CONNECTIONS, causal_reads=True
        )
    except (sa.exc.ArgumentError, ImportError) as error:
        raise errors.ConfigurationError(
            f"[database] connection cannot be used: {_first_line(error)}. Correct the URL, or "
            "install the driver that it names."
        ) from error


def check_database(engine: sa.Engine) -> None:
    """Return if the database answers and has the journal's tables.

    :raises ConfigurationError: otherwise.
    """
    try:
        with engine.connect() as connection:
            schema.check(connection)
    except sa.exc.SQLAlchemyError as error:
        raise errors.ConfigurationError(
            "The database of [database] connection does not answer: "
            f"{_first_line(getattr(error, 'orig', None) or error)}. Start it, or correct the URL."
        ) from error


def read_causally(conf: cfg.ConfigOpts, engine: sa.Engine) -> None:
    """Let Neutron's own reads in this process wait for what other Galera nodes have committed.

    A task reads rows through Neutron's sessions, at another node perhaps than the one that took its
    workflow's transaction. To be called before Neutron opens the database; what the operator has
    set wins.
    """
    with engine.connect() as connection:
        if galera.is_galera(connection):
            conf.set_default("mysql_wsrep_sync_wait", 1, "database")


def conductor(plugin: typing.Any, conf: cfg.ConfigOpts, engine: sa.Engine) -> loop.Conductor:
    """Return a conductor for this process; nothing runs yet.

    :raises ConfigurationError: if an option or a driver refuses.
    """
    drivers = registry.build(
        plugin,
        registry.DriverSettings(
            ovsdb_timeout_s=conf[conf_workflow.GROUP].ovsdb_timeout_s,
            mode=conf_workflow.mode(conf),
        ),
    )
    preparing = [driver for driver in drivers if isinstance(driver, protocol.Preparing)]
    named = list(registry.known_kinds(plugin))
    limits = conf_drivers.limits(conf, named)
    limits |= {
        driver.name: limits[driver.prepares_for]
        for driver in preparing
        if driver.prepares_for in limits
    }
    return loop.Conductor(
        journal.Journal(engine),
        drivers,
        dataclasses.replace(conf_workflow.conductor_settings(conf), drivers=limits),
        keys.keys_for,
        conf_workflow.driver_graph(conf, named),
    )


def start(made: loop.Conductor, conf: cfg.ConfigOpts) -> None:
    """Start it.

    :raises ConfigurationError: if its socket cannot be made.
    """
    try:
        made.start()
    except OSError as error:
        folder = conf[conf_workflow.GROUP].wakeup_dir
        raise errors.ConfigurationError(
            f"[{conf_workflow.GROUP}] wakeup_dir = {folder}: {error.strerror}. Let the user of "
            "this process write there, or name another folder."
        ) from error


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
