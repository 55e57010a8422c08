# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Column types that mean the same on SQLite, MariaDB and PostgreSQL."""

import json
import typing

import sqlalchemy as sa
import typing_extensions
from sqlalchemy.dialects import mysql, postgresql

from networking_workflow.model import keys


def ascii_text(length: int) -> sa.types.TypeEngine[str]:
    """Return text that is compared byte by byte everywhere.

    MariaDB takes the collation from the table (utf8mb4_bin). PostgreSQL would sort by the
    database's locale, but keys must be locked in one order by every server: hence "C".
    """
    return sa.String(length).with_variant(postgresql.VARCHAR(length, collation="C"), "postgresql")


def identity() -> sa.types.TypeEngine[str]:
    """Return a UUID as text."""
    return ascii_text(36)


def key() -> sa.types.TypeEngine[str]:
    """Return the text of a key."""
    return ascii_text(keys.MAX_KEY_LENGTH)


def moment() -> sa.types.TypeEngine[typing.Any]:
    """Return a UTC time without zone, in microseconds."""
    return sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def long_text() -> sa.types.TypeEngine[str]:
    """Return text without a practical limit (MariaDB's TEXT ends at 64 KiB)."""
    return sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")


class Json(sa.types.TypeDecorator[typing.Any]):
    """A JSON document as ASCII text, so that no server's JSON type rewrites it."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[typing.Any]:
        return dialect.type_descriptor(long_text())

    @typing_extensions.override
    def process_bind_param(self, value: typing.Any, dialect: sa.Dialect) -> str | None:
        return None if value is None else json.dumps(value, separators=(",", ":"))

    @typing_extensions.override
    def process_result_value(self, value: typing.Any, dialect: sa.Dialect) -> typing.Any:
        return None if value is None else json.loads(value)
