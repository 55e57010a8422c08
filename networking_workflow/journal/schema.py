# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Whether the journal's tables are there."""

import importlib.resources

import sqlalchemy as sa

from networking_workflow.journal import migration, tables
from networking_workflow.model import errors


def create_all(engine: sa.Engine) -> None:
    """Make every table that is missing; for tests and new databases only, never an upgrade."""
    tables.metadata.create_all(engine)


def check(connection: sa.Connection) -> None:
    """Return if every table and column is there.

    :raises ConfigurationError: otherwise, naming what is missing.
    """
    inspector = sa.inspect(connection)
    present = set(inspector.get_table_names())
    missing = sorted(set(tables.metadata.tables) - present)
    for table in tables.metadata.sorted_tables:
        if table.name in present:
            columns = {column["name"] for column in inspector.get_columns(table.name)}
            missing += [
                f"{table.name}.{column.name}"
                for column in table.columns
                if column.name not in columns
            ]
    if missing:
        raise errors.ConfigurationError(
            f"The database lacks {', '.join(missing)}: "
            "run neutron-db-manage --subproject networking-workflow upgrade heads"
        )


def revisions(connection: sa.Connection) -> set[str]:
    """Return the revisions that the database was migrated to; none: it never was."""
    if not sa.inspect(connection).has_table(migration.VERSION_TABLE):
        return set()
    versions = sa.table(migration.VERSION_TABLE, sa.column("version_num", sa.String))
    return set(connection.execute(sa.select(versions.c.version_num)).scalars())


def heads() -> set[str]:
    """Return the newest revisions, one of each branch."""
    versions = importlib.resources.files(migration) / "alembic_migrations" / "versions"
    return {(versions / f"{name}_HEAD").read_text().strip() for name in ("EXPAND", "CONTRACT")}
