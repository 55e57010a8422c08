# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

import pathlib

import pytest
from oslo_config import cfg

from networking_workflow.conductor import settings
from networking_workflow.conf import drivers
from networking_workflow.model import errors, retry
from tests.unit.conf.test_workflow import read

BOTH = ("ovn", "genericswitch")


def limits(
    folder: pathlib.Path, text: str, names: tuple[str, ...] = BOTH
) -> dict[str, settings.DriverLimits]:
    """Return the limits that a file asks for; it begins within the group [workflow]."""
    return drivers.limits(read(folder, text), names)


def test_a_driver_without_a_group_has_the_common_policy_and_no_limits(
    tmp_path: pathlib.Path,
) -> None:
    found = limits(tmp_path, "attempts = 3\nfirst_delay_s = 0.5\nmax_delay_s = 7\n")
    policy = retry.RetryPolicy(attempts=3, first_delay_s=0.5, max_delay_s=7.0)
    assert found == dict.fromkeys(BOTH, settings.DriverLimits(retry=policy))


def test_what_a_group_does_not_set_is_that_of_all(tmp_path: pathlib.Path) -> None:
    text = """
attempts = 3
[workflow_driver:genericswitch]
timeout_s = 60
concurrency = 2
first_delay_s = 10
"""
    found = limits(tmp_path, text)["genericswitch"]
    assert found == settings.DriverLimits(
        retry=retry.RetryPolicy(attempts=3, first_delay_s=10.0, max_delay_s=300.0),
        timeout_s=60.0,
        concurrency=2,
    )


def test_in_shadow_mode_a_comparison_looks_as_often_whatever_is_set_for_its_driver(
    tmp_path: pathlib.Path,
) -> None:
    text = "mode = shadow\nattempts = 3\n[workflow_driver:ovn]\nattempts = 9\n"
    found = limits(tmp_path, text)
    assert [one.retry.attempts for one in found.values()] == [6, 6]
    assert found["ovn"].retry == found["genericswitch"].retry


def test_zero_means_no_limit(tmp_path: pathlib.Path) -> None:
    found = limits(tmp_path, "[workflow_driver:ovn]\ntimeout_s = 0\nconcurrency = 0\n")["ovn"]
    assert (found.timeout_s, found.concurrency) == (None, None)


@pytest.mark.parametrize("name", ["GenericSwitch", "genericswitch"])
def test_upper_and_lower_case_are_one_group(tmp_path: pathlib.Path, name: str) -> None:
    text = f"[Workflow_Driver:{name}]\nconcurrency = 3\n"
    assert limits(tmp_path, text, ("genericSwitch",))["genericSwitch"].concurrency == 3


@pytest.mark.parametrize(
    "group", ["workflow_driver:ovm", "workflow_driver", "workflow_drivers:ovn"]
)
def test_a_group_of_no_configured_driver_is_refused(tmp_path: pathlib.Path, group: str) -> None:
    with pytest.raises(errors.ConfigurationError) as refused:
        limits(tmp_path, f"[{group}]\nattempts = 3\n")
    assert str(refused.value) == (
        f"{tmp_path / 'workflow.conf'}: [{group}]: there is no such driver in [ml2] "
        "mechanism_drivers; the groups are [workflow_driver:ovn], [workflow_driver:genericswitch]."
    )


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("timeout_s = -1", "a number of seconds from 0 to 86400"),
        ("timeout_s = soon", "a number of seconds from 0 to 86400"),
        ("attempts = 0", "a whole number from 1 to 1000"),
        ("first_delay_s = -1", "a number of seconds from 0 to 3600"),
        ("max_delay_s = 0", "a number of seconds from 0.1 to 86400"),
        ("concurrency = 65", "a whole number from 0 to 64"),
        ("concurrency = 1.5", "a whole number from 0 to 64"),
    ],
)
def test_a_bad_value_is_refused_in_one_line_with_its_place_and_what_is_allowed(
    tmp_path: pathlib.Path, text: str, allowed: str
) -> None:
    with pytest.raises(errors.ConfigurationError) as refused:
        limits(tmp_path, f"[workflow_driver:ovn]\n{text}\n")
    place = tmp_path / "workflow.conf"
    assert str(refused.value) == f"{place}: [workflow_driver:ovn] {text}: it must be {allowed}."


def test_an_option_that_does_not_exist_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.ConfigurationError) as refused:
        limits(tmp_path, "[workflow_driver:ovn]\ntime_out_s = 5\n")
    assert "[workflow_driver:ovn] time_out_s = 5: there is no such option" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_delay_that_contradicts_the_common_one_is_refused(tmp_path: pathlib.Path) -> None:
    text = "first_delay_s = 10\n[workflow_driver:ovn]\nmax_delay_s = 2\n"
    with pytest.raises(errors.ConfigurationError, match=r"ovn\] max_delay_s = 2 is below first"):
        limits(tmp_path, text)


@pytest.mark.parametrize("option", drivers.OPTIONS, ids=lambda option: option.name)
def test_every_number_has_limits_and_every_time_its_unit(option: cfg.Opt) -> None:
    assert option.type.min is not None
    assert option.type.max is not None
    assert not option.name.endswith("_s") or "seconds" in option.help.lower()
