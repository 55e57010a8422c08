# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The one place where every exception is caught: around what a conductor calls."""

import logging
import typing

import sqlalchemy.exc
from neutron_lib.db import api as neutron_db
from oslo_db import exception as oslo_db_errors

from networking_workflow.drivers import words
from networking_workflow.model import errors

LOG = logging.getLogger(__name__)

T = typing.TypeVar("T")

#: What a database that is away, restarting or overloaded makes the journal raise. Anything else
#: that SQLAlchemy raises is a mistake in a statement, and repeating it does not help.
DATABASE_AWAY: tuple[type[BaseException], ...] = (
    sqlalchemy.exc.OperationalError,
    sqlalchemy.exc.InterfaceError,
    sqlalchemy.exc.InternalError,
    sqlalchemy.exc.TimeoutError,
)


def guarded(call: typing.Callable[[], T], what: str) -> tuple[T | None, errors.DriverError | None]:
    """Return ``(value, None)`` or ``(None, error)``; whatever ``call`` raised has become the error.

    Drivers, mechanism drivers and Neutron's own code run inside it. SystemExit is among what they
    raise (OVN does, on bad options); in a worker thread it would end the thread without a word.
    What is recorded and logged of it has no credentials.

    :raises LeaseLost: also if it was raised below and wrapped on its way.
    """
    try:
        return call(), None
    except errors.DriverError as error:
        _raise_lease_lost(error)
        error.detail = words.masked(error.detail)
        return None, error
    except (Exception, SystemExit) as error:  # noqa: BLE001 - drivers raise anything
        _raise_lease_lost(error)
        detail = words.of(error)
        if _is_of_database(error):
            LOG.warning("%s: the database did not do its part: %s", what, detail)
            return None, errors.TransientFailure(detail)
        LOG.error("%s failed unexpectedly: %s", what, words.with_trace(error))
        return None, errors.DriverError(detail)


def _is_of_database(error: BaseException) -> bool:
    """Return whether a database asked for another try: the journal's, or Neutron's sessions'."""
    if isinstance(error, (*DATABASE_AWAY, oslo_db_errors.DBError)):
        return True
    return isinstance(error, Exception) and bool(neutron_db.is_retriable(error))


def _raise_lease_lost(error: BaseException) -> None:
    """Raise the LeaseLost that ``error`` is, or was raised from, or holds among several."""
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        one = todo.pop()
        if one is None or id(one) in seen:
            continue
        if isinstance(one, errors.LeaseLost):
            raise one
        seen.add(id(one))
        todo += [one.__cause__, one.__context__, *getattr(one, "inner_exceptions", ())]
