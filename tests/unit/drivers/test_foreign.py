# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Errors of foreign code: those with a known meaning are translated, the others fly."""

import pytest
import requests
from networking_generic_switch import exceptions as ngs_exceptions
from neutron.plugins.ml2.common import exceptions as ml2_exceptions
from neutron_lib import exceptions
from oslo_db import exception as db_exceptions

from networking_workflow.drivers import foreign
from networking_workflow.model import errors

CALL = "fabric.create_port_postcommit"


def several(*inner: Exception) -> Exception:
    return ml2_exceptions.MechanismDriverError(method="create_port_postcommit", errors=list(inner))


@pytest.mark.parametrize(
    ("raised", "meant"),
    [
        (requests.ConnectionError("refused"), errors.BackendUnreachable),
        (requests.ConnectTimeout("slow"), errors.BackendUnreachable),
        (ConnectionRefusedError("refused"), errors.BackendUnreachable),
        (requests.ReadTimeout("slow"), foreign.NoAnswer),
        (TimeoutError("slow"), foreign.NoAnswer),
        (requests.HTTPError("500"), errors.TransientFailure),
        (exceptions.NetworkNotFound(net_id="n1"), errors.TransientFailure),
        (several(ValueError("odd")), errors.TransientFailure),
        (several(requests.ConnectionError("refused")), errors.BackendUnreachable),
        (several(errors.PermanentFailure("no")), errors.PermanentFailure),
        (several(several(ConnectionResetError("gone"))), errors.BackendUnreachable),
    ],
    ids=lambda value: getattr(value, "__name__", repr(value)[:40]),
)
def test_known_classes_are_translated(raised: Exception, meant: type[errors.DriverError]) -> None:
    with pytest.raises(meant) as caught, foreign.translated(CALL):
        raise raised
    assert type(caught.value) is meant


NGS_ERRORS = sorted(
    (each for each in vars(ngs_exceptions).values() if isinstance(each, type)),
    key=lambda each: each.__name__,
)


@pytest.mark.parametrize("kind", NGS_ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_of_a_generic_switch_may_pass(kind: type[Exception]) -> None:
    """It says "connect error" whatever a device did: nothing tells that one cannot be reached."""
    raised = kind.__new__(kind)
    Exception.__init__(raised, "Please contact your administrator.")
    with pytest.raises(errors.TransientFailure) as caught, foreign.translated(CALL):
        raise raised
    assert type(caught.value) is errors.TransientFailure


def test_text_names_the_call_the_class_and_the_drivers_own_words() -> None:
    with pytest.raises(errors.TransientFailure) as caught, foreign.translated(CALL):
        raise several(ValueError("odd vlan"))
    for words in (CALL, "MechanismDriverError", "ValueError", "odd vlan"):
        assert words in caught.value.detail


@pytest.mark.parametrize(
    "raised",
    [
        ValueError("odd"),
        KeyError("vlan"),
        FileNotFoundError("config"),
        db_exceptions.DBDeadlock(),
        errors.LeaseLost("w1"),
        errors.StillReferred("port", "p1", "used"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_others_fly_as_they_are(raised: Exception) -> None:
    with pytest.raises(type(raised)) as caught, foreign.translated(CALL):
        raise raised
    assert caught.value is raised


@pytest.mark.parametrize("inner", [db_exceptions.DBDeadlock(), errors.LeaseLost("w1")])
def test_deadlock_and_lost_lease_fly_out_of_a_wrapper(inner: Exception) -> None:
    with pytest.raises(type(inner)), foreign.translated(CALL):
        raise several(inner)
