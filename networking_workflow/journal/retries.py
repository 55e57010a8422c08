# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""One short transaction, tried again when the database asks for it."""

import collections.abc
import typing

import sqlalchemy as sa
import tenacity
from oslo_db import exception as db_exception

#: MariaDB and Galera: deadlock or refused by certification, lock wait time-out, row changed
#: since the snapshot, error during COMMIT.
_MYSQL_CODES = frozenset({1213, 1205, 1020, 1180})

#: PostgreSQL: serialization failure, deadlock.
_POSTGRESQL_CODES = frozenset({"40001", "40P01"})

#: Tries of one transaction; with the waits below a little over half a minute.
ATTEMPTS = 40

_Result = typing.TypeVar("_Result")


class LookAgain(Exception):
    """What was read has changed meanwhile: roll back and start the transaction again."""


def is_conflict(error: BaseException) -> bool:
    """Return whether ``error`` says that the same transaction may well succeed next time."""
    if isinstance(error, (LookAgain, db_exception.DBDeadlock)):
        return True
    if not isinstance(error, sa.exc.DBAPIError) or error.orig is None:
        return False
    if getattr(error.orig, "pgcode", None) in _POSTGRESQL_CODES:
        return True
    code = error.orig.args[0] if error.orig.args else None
    return code in _MYSQL_CODES or "database is locked" in str(code)


def run(engine: sa.Engine, work: collections.abc.Callable[[sa.Connection], _Result]) -> _Result:
    """Return what ``work`` returns once its transaction has committed.

    :raises sqlalchemy.exc.DBAPIError: when the database is out of reach, or after many conflicts.
    """

    def once() -> _Result:
        with engine.begin() as connection:
            return work(connection)

    return retrying()(once)


def retrying() -> tenacity.Retrying:
    """Return the policy: soon again, then slower, at random so that two part."""
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(is_conflict),
        wait=tenacity.wait_random_exponential(multiplier=0.005, max=1.0),
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        reraise=True,
    )
