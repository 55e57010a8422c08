# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Limits of a conductor's settings."""

import pytest

from networking_workflow.conductor import settings
from networking_workflow.model import retry


@pytest.mark.parametrize(
    "wrong",
    [
        {"workers": 0},
        {"lease_s": 0},
        {"poll_s": -1},
        {"chores_s": 0},
        {"probe_s": 0},
        {"drain_s": -1},
        {"keep_failed_s": 1},
        {"wakeup_dir": "/" + "x" * 69},
    ],
)
def test_a_number_out_of_range_is_refused_by_name(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match="worker" if name == "workers" else name):
        settings.ConductorSettings(**wrong)


@pytest.mark.parametrize("wrong", [{"timeout_s": 0.0}, {"concurrency": 0}])
def test_a_limit_of_a_driver_out_of_range_is_refused_by_name(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=name):
        settings.DriverLimits(**wrong)


def test_a_driver_without_limits_of_its_own_is_tried_as_all_are():
    own = settings.DriverLimits(timeout_s=3.0)
    config = settings.ConductorSettings(
        retry=retry.RetryPolicy(attempts=2), drivers={"switch": own}
    )
    assert config.limits_of("switch") is own
    assert config.limits_of("ovn") == settings.DriverLimits(retry=retry.RetryPolicy(attempts=2))


def test_two_renewals_may_fail_before_the_lease_is_over():
    assert settings.ConductorSettings(lease_s=30).renew_s == 10


def test_jitter_is_three_quarters_to_all():
    seen = [settings.jittered_s(10) for _ in range(1000)]
    assert min(seen) >= 7.5
    assert max(seen) <= 10
    assert max(seen) - min(seen) > 1.5
