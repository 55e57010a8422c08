# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Whatever a call raises becomes an error that the journal can record."""

import pytest
import sqlalchemy as sa
from neutron_lib import exceptions as neutron_errors
from oslo_db import exception as db_errors

from networking_workflow.conductor import guard
from networking_workflow.model import errors, failures


def raising(error):
    def call():
        raise error

    return call


def test_a_value_comes_back():
    assert guard.guarded(lambda: 7, "it") == (7, None)


def test_a_drivers_own_error_stays_itself():
    error = errors.MissingReference("network", "n", "not there")
    assert guard.guarded(raising(error), "it") == (None, error)


@pytest.mark.parametrize("error", [KeyError("x"), SystemExit("bad option"), AssertionError()])
def test_an_unknown_error_is_a_driver_error_in_its_own_words(error):
    _, caught = guard.guarded(raising(error), "it")
    assert type(caught) is errors.DriverError
    assert caught.failure == failures.Failure(
        code=failures.FailureCode.DRIVER_ERROR, detail=f"{type(error).__name__}: {error}"
    )


@pytest.mark.parametrize(
    "error",
    [
        db_errors.DBDeadlock(),
        db_errors.DBConnectionError(),
        sa.exc.OperationalError("SELECT 1", {}, OSError("gone")),
        neutron_errors.MultipleExceptions([db_errors.DBDeadlock()]),
    ],
)
def test_a_database_that_asks_for_another_try_is_transient(error):
    _, caught = guard.guarded(raising(error), "it")
    assert type(caught) is errors.TransientFailure


def wrapped_by_a_driver():
    try:
        raise errors.LeaseLost("w")
    except errors.LeaseLost as lost:
        raise errors.TransientFailure("could not write") from lost


def wrapped_in_several():
    raise neutron_errors.MultipleExceptions([ValueError(), errors.LeaseLost("w")])


@pytest.mark.parametrize(
    "call", [raising(errors.LeaseLost("w")), wrapped_by_a_driver, wrapped_in_several]
)
def test_a_lost_lease_passes_however_it_is_wrapped(call):
    with pytest.raises(errors.LeaseLost):
        guard.guarded(call, "it")


class SpeechlessError(Exception):
    def __str__(self):
        raise ValueError("no words")


def test_an_error_whose_text_cannot_be_had_is_an_error_like_others():
    _, caught = guard.guarded(raising(SpeechlessError()), "it")
    assert type(caught) is errors.DriverError
    assert caught.detail.startswith("SpeechlessError: ")


@pytest.mark.parametrize(
    "error",
    [
        errors.PermanentFailure("https://admin:hunter2@fabric-7/v1 refused"),
        ValueError("https://admin:hunter2@fabric-7/v1 refused"),
        db_errors.DBError(ValueError("https://admin:hunter2@fabric-7/v1 refused")),
    ],
)
def test_what_is_recorded_and_logged_has_no_credentials(error, caplog):
    _, caught = guard.guarded(raising(error), "it")
    assert "https://admin:***@fabric-7/v1 refused" in caught.detail
    assert "hunter2" not in caplog.text
