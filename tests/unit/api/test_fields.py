# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

import datetime

import pytest
from neutron_lib import exceptions as n_exc

from networking_workflow.api import fields
from networking_workflow.model import failures, states


def test_times_are_utc_with_microseconds() -> None:
    moment = datetime.datetime(2026, 11, 24, 17, 30, 5, 42, tzinfo=datetime.UTC)
    assert fields.time(moment.replace(tzinfo=None)) == "2026-11-24T17:30:05.000042Z"
    assert fields.time(None) is None


@pytest.mark.parametrize("code", failures.FailureCode)
def test_every_failure_has_words_for_tenants(code: failures.FailureCode) -> None:
    assert fields.failure(code) == {"code": code, "message": failures.TENANT_TEXT[code]}


def test_no_failure_is_no_text() -> None:
    assert fields.failure(None) is None
    assert fields.message(None) is None


def test_a_state_to_filter_by_that_does_not_exist_is_refused_with_those_that_do() -> None:
    convert = fields.one_of(states.TaskState)
    assert convert("FAILED") == "FAILED"
    with pytest.raises(n_exc.InvalidInput, match="'BROKEN' is none of PENDING, RUNNING"):
        convert("BROKEN")
