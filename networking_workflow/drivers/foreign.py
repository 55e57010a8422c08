# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Errors of code that is not ours, in the words of ``model.errors``.

Only classes whose meaning is known are translated. Whatever else a third-party driver raises is
left to fly: the conductor's loop, the one place that catches everything, records it as a
``DRIVER_ERROR`` with the driver's own words. Errors of the database that the caller retries, and a
lost lease, fly as well, also out of Neutron's wrappers around several errors.
"""

import contextlib
import typing

import requests
from neutron_lib import exceptions
from neutron_lib.db import api as db_api

from networking_workflow.drivers import words
from networking_workflow.model import errors


class NoAnswer(errors.TransientFailure):
    """The backend was asked and did not answer in time; it may still do what it was asked."""


def translate(error: BaseException, call: str) -> BaseException:
    """Return the ``DriverError`` that ``error`` means, or ``error`` itself if that is not known.

    ``call`` names what was tried, for the text: driver and hook.
    """
    detail = f"{call}: {words.of(error)}"
    match error:
        case errors.WorkflowError():
            return error
        case exceptions.MultipleExceptions():
            return _translate_several(error, call)
        case _ if db_api.is_retriable(error):
            return error
        case requests.ConnectTimeout() | requests.ConnectionError() | ConnectionError():
            return errors.BackendUnreachable(detail)
        case requests.Timeout() | TimeoutError():
            return NoAnswer(detail)
        case requests.RequestException() | exceptions.NeutronException():
            return errors.TransientFailure(detail)
        case _:
            return error


@contextlib.contextmanager
def translated(call: str) -> typing.Iterator[None]:
    """Raise what :func:`translate` makes of an error in the block.

    :raises DriverError: for every class that is known.
    """
    try:
        yield
    except (
        exceptions.MultipleExceptions,
        exceptions.NeutronException,
        requests.RequestException,
        ConnectionError,
        TimeoutError,
    ) as error:
        meant = translate(error, call)
        if meant is error:
            raise
        raise meant from error


def _translate_several(error: typing.Any, call: str) -> BaseException:
    """Return the first inner error that has a meaning of its own, else that trying again may help.

    ML2's ``MechanismDriverError`` is one: its own text names the hook only.
    """
    inner = [translate(each, call) for each in error.inner_exceptions]
    for meant in inner:
        if isinstance(meant, errors.WorkflowError) or db_api.is_retriable(meant):
            return meant
    said = "; ".join(words.of(each) for each in inner)
    own = f"{type(error).__name__}: {said}" if said else words.of(error)
    return errors.TransientFailure(f"{call}: {own}")
