# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The releases of Neutron that are supported, and what is refused with one of them."""

import importlib.metadata
import pathlib
import re

import pytest
from packaging import requirements

from networking_workflow import releases
from networking_workflow.capture import refusals
from networking_workflow.model import errors

REPOSITORY = pathlib.Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "versions.md").read_text()


@pytest.mark.parametrize("release", releases.SUPPORTED)
def test_supported_release_is_accepted(release):
    releases.check(release)


@pytest.mark.parametrize("release", [min(releases.SUPPORTED) - 1, max(releases.SUPPORTED) + 1])
def test_another_release_is_refused_by_its_number(release):
    with pytest.raises(errors.ConfigurationError, match=f"Neutron {release} is not supported"):
        releases.check(release)


def test_pip_is_asked_for_the_releases_that_are_accepted():
    (neutron,) = (
        requirement
        for text in importlib.metadata.requires("networking-workflow") or ()
        if (requirement := requirements.Requirement(text)).name == "neutron"
    )
    for release in range(min(releases.SUPPORTED) - 1, max(releases.SUPPORTED) + 2):
        assert neutron.specifier.contains(f"{release}.0.1") == (release in releases.SUPPORTED)


def test_newest_release_is_the_one_that_the_rest_is_written_for():
    newest = max(releases.SUPPORTED)
    assert releases.northbound(newest) == releases.NEWEST
    assert newest not in releases.REFUSED_SERVICE_PLUGINS


def test_service_plugin_is_refused_with_the_release_that_cannot_have_it(monkeypatch):
    asked = {"service_plugins": ["log"], "extension_drivers": (), "mechanism_drivers": ()}
    monkeypatch.setattr(releases, "installed", lambda: 28)
    with pytest.raises(errors.ConfigurationError, match=r"'log' in service_plugins \(Neutron 28"):
        refusals.refuse_uncovered(**asked)
    monkeypatch.setattr(releases, "installed", lambda: 29)
    refusals.refuse_uncovered(**asked)


def test_what_is_refused_with_a_release_is_covered_with_a_later_one():
    for release, refused in releases.REFUSED_SERVICE_PLUGINS.items():
        assert release in releases.SUPPORTED
        assert refused.keys() <= refusals.SERVICE_PLUGINS


@pytest.mark.parametrize("release", releases.SUPPORTED)
def test_page_says_what_a_release_writes_otherwise_and_what_it_is_refused(release):
    section = PAGE.split(f"## Neutron {release}\n")[1].split("\n## ")[0]
    named = set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
    written = releases.northbound(release)
    other = {
        name
        for name in releases.Northbound.__slots__
        if getattr(written, name) != getattr(releases.NEWEST, name)
    }
    assert named == other | releases.REFUSED_SERVICE_PLUGINS.get(release, {}).keys()
