# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Say what of the installed Neutron is not as the newest supported release has it.

``what_moved.py [test file ...]`` runs the tests that look at Neutron's own text and tables (by
default those of seams, writers, tables and service plugins) and prints what each has found. It
exits 0 if nothing moved, 3 if something did, 2 if nothing was found to be as it was: then the
tests could not look, rather than everything have moved. A program that breaks exits with 1.
"""

import importlib.metadata
import pathlib
import sys

import pytest

from networking_workflow import releases

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent

LOOKING = (
    "tests/unit/capture/test_classes.py",
    "tests/unit/capture/test_refusals.py",
    "tests/unit/capture/test_seams.py",
    "tests/unit/drivers/ovn/test_seams.py",
    "tests/unit/drivers/ovn/test_writers.py",
)


#: Exit codes besides 0; Python takes 1 for an error of its own.
NOTHING_SEEN, MOVED = 2, 3


class Findings:
    """A pytest plugin that notes what passed, and of what failed the first line."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed: list[tuple[str, str]] = []  #: (test, what it says)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._note(report)
        elif report.when == "call" and report.passed:
            self.passed += 1

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._note(report)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        crash = getattr(report.longrepr, "reprcrash", None)
        lines = (crash.message if crash is not None else report.longreprtext).strip().splitlines()
        # A file that cannot be imported ends with the reason; an assertion begins with it.
        said = lines[0] if crash is not None else lines[-1].removeprefix("E").strip()
        path, _line, name = report.location or (report.nodeid, None, "")
        test = f"{path}::{name}" if name != path else path
        self.failed.append((test, said.removeprefix("AssertionError: ")))


def summary(version: str, found: Findings) -> list[str]:
    """Return what was found with Neutron ``version``, in lines."""
    supported = ", ".join(str(one) for one in releases.SUPPORTED)
    newest = max(releases.SUPPORTED)
    lines = [f"Neutron {version} (supported: {supported})"]
    if not found.failed:
        return [*lines, f"Nothing has moved: {found.passed} tests found what Neutron {newest} has."]
    lines.append(
        f"Moved: {len(found.failed)} tests found something else than Neutron {newest} has, "
        f"{found.passed} found the same."
    )
    for test, said in found.failed:
        lines += [f"- {said}", f"    {test}"]
    return lines


def main(paths: list[str]) -> int:
    """Run the tests and print what they found; return the exit code."""
    found = Findings()
    settings = ("--config-file", str(REPOSITORY / "pyproject.toml"), "--override-ini", "addopts=")
    options = (*settings, "-p", "no:terminal", "--continue-on-collection-errors")
    pytest.main([*options, *(paths or LOOKING)], plugins=[found])
    return told(found)


def told(found: Findings) -> int:
    """Print what was found; return the exit code."""
    if found.passed or found.failed:
        lines = summary(importlib.metadata.version("neutron"), found)
        sys.stdout.writelines(f"{line}\n" for line in lines)
    if not found.passed:
        sys.stderr.write("No test has looked at Neutron and found what it looked for.\n")
        return NOTHING_SEEN
    return MOVED if found.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
