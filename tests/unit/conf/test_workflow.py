# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

import pathlib

import pytest
from oslo_config import cfg

from networking_workflow.conf import workflow
from networking_workflow.model import errors
from networking_workflow.model.modes import Mode


def read(folder: pathlib.Path, text: str = "") -> cfg.ConfigOpts:
    """Read a configuration file with this group [workflow]."""
    path = folder / "workflow.conf"
    path.write_text(f"[workflow]\n{text}\n")
    conf = cfg.ConfigOpts()
    conf.register_opts([cfg.StrOpt("state_path", default="/var/lib/neutron"), cfg.StrOpt("host")])
    conf.set_default("host", "controller-1")
    workflow.register_opts(conf)
    conf(["--config-file", str(path)])
    return conf


def test_defaults_make_a_conductor(tmp_path: pathlib.Path) -> None:
    settings = workflow.conductor_settings(read(tmp_path))
    assert settings.host == "controller-1"
    assert settings.wakeup_dir == "/var/lib/neutron/workflow"
    assert settings.retry.attempts == 8


def test_values_reach_the_conductor(tmp_path: pathlib.Path) -> None:
    text = "workers = 2\nlease_s = 12.5\nattempts = 3\nfirst_delay_s = 0.5\nwakeup_dir =\n"
    settings = workflow.conductor_settings(read(tmp_path, text))
    assert (settings.workers, settings.lease_s) == (2, 12.5)
    assert (settings.retry.attempts, settings.retry.first_delay_s) == (3, 0.5)
    assert settings.wakeup_dir is None


def test_workflows_drive_unless_told_to_be_a_shadow(tmp_path: pathlib.Path) -> None:
    assert workflow.mode(read(tmp_path)) is Mode.DRIVE
    assert workflow.mode(read(tmp_path, "mode = shadow")) is Mode.SHADOW


def test_a_shadow_has_looked_often_enough_within_seconds(tmp_path: pathlib.Path) -> None:
    text = "mode = shadow\nattempts = 1\nfirst_delay_s = 300\n"
    policy = workflow.conductor_settings(read(tmp_path, text)).retry
    longest_s = sum(
        min(policy.max_delay_s, policy.first_delay_s * 2**spent)
        for spent in range(policy.attempts - 1)
    )
    assert (policy.attempts, longest_s) == (6, 15.5)


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("mode = shadows", "one of drive, shadow"),
        ("conductor = threads", "one of embedded, separate"),
        ("workers = 0", "a whole number from 1 to 64"),
        ("workers = many", "a whole number from 1 to 64"),
        ("lease_s = 1", "a number of seconds from 3 to 3600"),
        ("poll_s = soon", "a number of seconds from 0.5 to 60"),
        ("attempts = 0", "a whole number from 1 to 1000"),
        ("max_delay_s = 0", "a number of seconds from 0.1 to 86400"),
        ("ovsdb_timeout_s = 0", "a whole number of seconds from 1 to 600"),
    ],
)
def test_a_bad_value_is_refused_in_one_line_with_its_place_and_what_is_allowed(
    tmp_path: pathlib.Path, text: str, allowed: str
) -> None:
    with pytest.raises(errors.ConfigurationError) as refused:
        workflow.conductor_settings(read(tmp_path, text))
    place = tmp_path / "workflow.conf"
    assert str(refused.value) == f"{place}: [workflow] {text}: it must be {allowed}."


def test_an_option_that_does_not_exist_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.ConfigurationError, match="leese_s = 30: there is no such option"):
        workflow.check(read(tmp_path, "leese_s = 30"))


def test_a_bad_value_in_the_environment_names_the_variable(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OS_WORKFLOW__WORKERS", "0")
    with pytest.raises(errors.ConfigurationError, match="environment OS_WORKFLOW__WORKERS: "):
        workflow.check(read(tmp_path, "workers = 4"))


def test_delays_that_contradict_each_other_are_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.ConfigurationError, match="max_delay_s = 2 is below"):
        workflow.check(read(tmp_path, "first_delay_s = 10\nmax_delay_s = 2"))
    with pytest.raises(errors.ConfigurationError, match="keep_failed_days = 3 is below"):
        workflow.check(read(tmp_path, "keep_finished_days = 7\nkeep_failed_days = 3"))


def test_a_folder_too_long_for_sockets_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.ConfigurationError, match="too long for sockets"):
        workflow.conductor_settings(read(tmp_path, f"wakeup_dir = /{'x' * 90}"))


@pytest.mark.parametrize("option", workflow.OPTIONS, ids=lambda option: option.name)
def test_every_number_has_limits_and_every_time_its_unit(option: cfg.Opt) -> None:
    assert option.help
    if isinstance(option, cfg.IntOpt | cfg.FloatOpt):
        assert option.type.min is not None
        assert option.type.max is not None
    if option.name.endswith("_s"):
        assert "seconds" in option.help.lower()


def test_options_are_offered_to_the_sample_generator() -> None:
    ((group, options),) = workflow.list_opts()
    assert group == "workflow"
    assert [option.name for option in options] == [option.name for option in workflow.OPTIONS]


def with_drivers(folder: pathlib.Path, text: str) -> cfg.ConfigOpts:
    """Read the group of a cloud with two mechanism drivers."""
    conf = read(folder, text)
    drivers = cfg.ListOpt("mechanism_drivers", default=["ovn", "fabric"])
    conf.register_opts([drivers], group="ml2")
    return conf


def test_no_binding_is_deferred_unless_a_driver_is_named(tmp_path: pathlib.Path) -> None:
    assert workflow.deferred_binding(with_drivers(tmp_path, "")) == frozenset()
    named = with_drivers(tmp_path, "deferred_binding = fabric")
    assert workflow.deferred_binding(named) == {"fabric"}


def test_a_deferred_driver_that_is_not_configured_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.ConfigurationError) as refused:
        workflow.deferred_binding(with_drivers(tmp_path, "deferred_binding = fabric,ovm"))
    assert str(refused.value) == (
        "[workflow] deferred_binding = fabric,ovm: ovm is not among [ml2] mechanism_drivers = "
        "ovn,fabric. Correct the name, or add the driver there."
    )
