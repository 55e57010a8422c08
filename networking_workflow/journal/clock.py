# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The database's clock: every server of a cloud may be wrong by another second."""

import datetime
import typing

import sqlalchemy as sa
from sqlalchemy.ext import compiler
from sqlalchemy.sql import functions

from networking_workflow.journal import types


class now(functions.FunctionElement[typing.Any]):
    """The time at the database server, UTC, without a zone."""

    type = types.moment()
    inherit_cache = True


class later(functions.FunctionElement[typing.Any]):
    """The time at the database server plus a number of microseconds (may be negative)."""

    type = types.moment()
    inherit_cache = True


def after(delay_s: float) -> later:
    """Return the time ``delay_s`` seconds from now."""
    return later(sa.literal(microseconds(delay_s), sa.BigInteger))


def microseconds(delay_s: float) -> int:
    """Return whole microseconds, the journal's resolution."""
    return round(delay_s * 1_000_000)


def local() -> datetime.datetime:
    """Return this process's idea of UTC: for times that are shown and decide nothing."""
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)


@compiler.compiles(now, "mysql")
@compiler.compiles(now, "mariadb")
def _now_mysql(_element: now, _compiled: typing.Any, **_kw: typing.Any) -> str:
    return "UTC_TIMESTAMP(6)"


@compiler.compiles(now, "postgresql")
def _now_postgresql(_element: now, _compiled: typing.Any, **_kw: typing.Any) -> str:
    # The statement's time, not the transaction's: a transaction may have waited for locks.
    return "timezone('utc', statement_timestamp())"


@compiler.compiles(now, "sqlite")
def _now_sqlite(_element: now, _compiled: typing.Any, **_kw: typing.Any) -> str:
    # Six digits, as SQLAlchemy writes and reads them: times are compared as text here.
    return "strftime('%Y-%m-%d %H:%M:%f000', 'now')"


@compiler.compiles(later, "mysql")
@compiler.compiles(later, "mariadb")
def _later_mysql(element: later, compiled: typing.Any, **kw: typing.Any) -> str:
    return f"UTC_TIMESTAMP(6) + INTERVAL {compiled.process(element.clauses, **kw)} MICROSECOND"


@compiler.compiles(later, "postgresql")
def _later_postgresql(element: later, compiled: typing.Any, **kw: typing.Any) -> str:
    return (
        "timezone('utc', statement_timestamp()) + "
        f"{compiled.process(element.clauses, **kw)} * interval '1 microsecond'"
    )


@compiler.compiles(later, "sqlite")
def _later_sqlite(element: later, compiled: typing.Any, **kw: typing.Any) -> str:
    delay = f"printf('%.6f seconds', {compiled.process(element.clauses, **kw)} / 1000000.0)"
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now', {delay})"
