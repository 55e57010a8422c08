# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``scripts/what_moved.py`` says in words what tests of Neutron's text have found."""

import pathlib
import subprocess
import sys

import pytest

from scripts import what_moved

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]

FILES = {
    "same": "def test_same(): pass\n",
    "other": 'def test_other():\n    assert not "x", "subscribe() has other text"\n',
    "gone": "from neutron import nowhere\n",
}


def run(folder, files):
    paths = []
    for name, text in files.items():
        paths.append(folder / f"test_{name}.py")
        paths[-1].write_text(text)
    command = [sys.executable, "-m", "scripts.what_moved", *paths]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    return run(tmp_path_factory.mktemp("moved"), FILES)


def test_what_moved_is_named_with_its_test(moved):
    assert moved.returncode == 3, moved.stderr
    assert "Moved: 2 tests found something else" in moved.stdout
    assert "1 found the same" in moved.stdout
    assert "- subscribe() has other text\n" in moved.stdout
    assert "test_other.py::test_other" in moved.stdout


def test_what_upstream_has_no_more_is_named_too(moved):
    assert "- ImportError: cannot import name 'nowhere' from 'neutron'" in moved.stdout


def test_nothing_moved_is_said_with_the_number_of_tests():
    found = what_moved.Findings()
    found.passed = 7
    assert what_moved.summary("29.0.1", found)[1].startswith("Nothing has moved: 7 tests")


@pytest.mark.parametrize("failed", [[], [("tests/unit/test_seams.py", "ImportError: all of it")]])
def test_where_nothing_was_as_expected_nobody_has_looked(capsys, failed):
    found = what_moved.Findings()
    found.failed = failed
    assert what_moved.told(found) == 2
    said = capsys.readouterr()
    assert "No test has looked" in said.err
    assert ("ImportError: all of it" in said.out) is bool(failed)


def test_files_that_look_at_neutron_exist():
    for path in what_moved.LOOKING:
        assert (REPOSITORY / path).is_file()
