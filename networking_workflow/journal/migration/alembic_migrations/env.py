# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Alembic's environment, run by ``neutron-db-manage``."""

import typing

from alembic import context
from neutron.db.migration import connection as neutron_connection
from oslo_config import cfg

from networking_workflow.journal import migration, tables

config: typing.Any = context.config


def include_object(
    object_: typing.Any, name: str | None, type_: str, _reflected: bool, _compare_to: typing.Any
) -> bool:
    """Return whether autogenerate looks at it: not at Neutron's tables in the same database."""
    table = name if type_ == "table" else getattr(getattr(object_, "table", None), "name", "")
    return table in tables.metadata.tables


def run_offline() -> None:
    """Print the statements instead of running them."""
    database = config.neutron_config.database
    try:
        where = {"url": database.connection} if database.connection else {}
    except cfg.NoSuchOptError:
        where = {}
    context.configure(
        **(where or {"dialect_name": database.engine}),
        version_table=migration.VERSION_TABLE,
        include_object=include_object,
    )
    with context.begin_transaction():
        context.run_migrations()


def run_online() -> None:
    """Run the statements."""
    given = config.attributes.get("connection")
    url = config.neutron_config.database.connection
    with neutron_connection.DBConnection(url, given) as connection:
        context.configure(
            connection=connection,
            target_metadata=tables.metadata,
            version_table=migration.VERSION_TABLE,
            include_object=include_object,
        )
        with context.begin_transaction():
            context.run_migrations()


if context.is_offline_mode():
    run_offline()
else:
    run_online()
