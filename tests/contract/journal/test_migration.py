# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The migrations give the same tables as the code's own, on every database."""

import pathlib
import subprocess
import sys
import typing

import pytest
import sqlalchemy as sa

from lab.databases import pool
from networking_workflow.journal import engine, schema, tables
from networking_workflow.model import errors


def migrate(url: str, folder: pathlib.Path, *command: str) -> str:
    """Run neutron-db-manage on our branch; return what it printed."""
    configuration = folder / "neutron.conf"
    escaped = url.replace("%", "%%").replace("$", "$$")
    configuration.write_text(f"[database]\nconnection = {escaped}\n")
    manage = pathlib.Path(sys.executable).with_name("neutron-db-manage")
    done = subprocess.run(
        [
            manage,
            "--config-file",
            configuration,
            "--subproject",
            "networking-workflow",
            *command,
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _options(inspector: sa.Inspector, table: str) -> dict[str, typing.Any]:
    try:
        return dict(inspector.get_table_options(table))
    except NotImplementedError:  # with SQLAlchemy 2.0, which comes with Neutron 28
        assert sa.__version__.startswith("2.0.")
        assert inspector.dialect.name in ("postgresql", "sqlite")
        return {}


def described(on: sa.Engine) -> dict[str, typing.Any]:
    """Return all that the server tells about the journal's tables."""
    inspector = sa.inspect(on)
    return {
        table: {
            "columns": [
                (c["name"], repr(c["type"]), c["nullable"], c["default"])
                for c in inspector.get_columns(table)
            ],
            "primary key": inspector.get_pk_constraint(table)["constrained_columns"],
            "foreign keys": sorted(
                (fk["constrained_columns"], fk["referred_table"], fk["referred_columns"])
                for fk in inspector.get_foreign_keys(table)
            ),
            "indexes": sorted(
                (str(index["name"]), index["column_names"], index["unique"])
                for index in inspector.get_indexes(table)
            ),
            "unique": sorted(
                str(unique["name"]) for unique in inspector.get_unique_constraints(table)
            ),
            "checks": sorted(
                (str(check["name"]), check["sqltext"])
                for check in inspector.get_check_constraints(table)
            ),
            "options": {
                name: value
                for name, value in _options(inspector, table).items()
                if "auto_increment" not in name and "partition" not in name
            },
        }
        for table in tables.metadata.tables
    }


def test_migrations_make_the_same_tables(
    blank_database: pool.Database, database_pool: pool.Pool, tmp_path: pathlib.Path
) -> None:
    migrate(blank_database.url, tmp_path, "upgrade", "heads")
    with database_pool.blank(blank_database.kind) as twin:
        created = engine.make_engine(twin.url)
        schema.create_all(created)
        migrated = engine.make_engine(blank_database.url)
        assert described(migrated) == described(created)
        with migrated.connect() as connection:
            schema.check(connection)
        created.dispose()
        migrated.dispose()


def test_migration_branch_is_one_that_neutron_accepts(
    database_pool: pool.Pool, tmp_path: pathlib.Path
) -> None:
    with database_pool.blank("sqlite") as database:
        migrate(database.url, tmp_path, "upgrade", "--expand")
        migrate(database.url, tmp_path, "upgrade", "--contract")
        migrate(database.url, tmp_path, "check_migration")
        assert "No offline" in migrate(database.url, tmp_path, "has_offline_migrations")


def test_missing_tables_are_named_with_the_command_that_makes_them(
    database_pool: pool.Pool,
) -> None:
    with database_pool.blank("sqlite") as database:
        blank = engine.make_engine(database.url)
        with blank.connect() as connection, pytest.raises(errors.ConfigurationError) as caught:
            schema.check(connection)
        blank.dispose()
    assert "workflow_workflows" in str(caught.value)
    assert "neutron-db-manage --subproject networking-workflow upgrade heads" in str(caught.value)
