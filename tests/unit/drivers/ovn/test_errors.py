# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Which errors mean what."""

import pytest
from neutron.common.ovn import exceptions as ovn_exceptions
from neutron_lib import exceptions as n_exc
from oslo_db import exception as db_exc
from ovsdbapp import exceptions as app_exceptions
from ovsdbapp.backend.ovs_idl import idlutils

from networking_workflow.drivers.ovn import errors as ovn_errors
from networking_workflow.drivers.ovn import idls
from networking_workflow.model import errors, failures

CONSTRAINT = (
    'OVSDB Error: {"details":"Transaction causes multiple rows in \\"Port_Group\\" table to have '
    'identical values","error":"constraint violation"}'
)
REFERENCE = 'OVSDB Error: {"details":"x","error":"referential integrity violation"}'


@pytest.mark.parametrize(
    "failed",
    [
        app_exceptions.TimeoutException(commands=[], timeout=5, cause="Result queue is empty"),
        RuntimeError("OVS transaction timed out"),
        idls.ConnectionDropped("gone"),
        idls.CopyBusy("busy"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_nobody_answers(failed: Exception) -> None:
    assert isinstance(ovn_errors.classify(failed), errors.BackendUnreachable)


@pytest.mark.parametrize(
    "failed",
    [
        AssertionError(),
        AttributeError("'NoneType' object has no attribute 'name'"),
        KeyError("row"),
        idlutils.RowNotFound(table="Port_Group", col="name", match="x"),
        RuntimeError("pg_x does not exist in name of Port_Group"),
        RuntimeError(REFERENCE),
        ovn_exceptions.RevisionConflict(resource_id="x", resource_type="ports"),
        db_exc.DBDeadlock(),
    ],
    ids=lambda one: type(one).__name__,
)
def test_another_try_may_help(failed: Exception) -> None:
    assert isinstance(ovn_errors.classify(failed), errors.TransientFailure)


def test_what_the_server_refuses_is_permanent() -> None:
    understood = ovn_errors.classify(RuntimeError(CONSTRAINT))
    assert isinstance(understood, errors.PermanentFailure)
    assert understood.code is failures.FailureCode.BACKEND_REFUSED


def test_what_neutron_refuses_is_permanent() -> None:
    understood = ovn_errors.classify(n_exc.IpAddressGenerationFailure(net_id="x"))
    assert isinstance(understood, errors.PermanentFailure)
    assert understood.code is failures.FailureCode.DRIVER_ERROR


@pytest.mark.parametrize(
    "text", ["", "OVSDB Error: ", "OVSDB Error: []", "OVSDB Error: no details"]
)
def test_words_that_are_not_json_name_no_error(text: str) -> None:
    assert ovn_errors.ovsdb_error(RuntimeError(text)) == ""
