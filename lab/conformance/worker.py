# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Runs a share of the suites in this process, each test once, and writes what came of it.

One line of JSON a test, so that whoever is interrupted goes on where it was.
"""

import argparse
import gc
import json
import pathlib
import sys
import time
import typing
import unittest

import testscenarios

from lab.conformance import plugins, results, suites
from lab.conformance.variants import Variant


class Recorder(unittest.TestResult):
    """Writes the outcome of each test when it has ended."""

    def __init__(self, stream: typing.TextIO, in_place: plugins.InPlace) -> None:
        super().__init__()
        self._stream, self._in_place = stream, in_place
        self._outcome: tuple[results.Outcome, str] | None = None
        self._started_s = 0.0
        self._loads = 0

    def startTest(self, test: unittest.TestCase) -> None:
        """Note when it begins."""
        super().startTest(test)
        self._outcome, self._started_s = None, time.monotonic()
        self._loads = self._in_place.loads

    def stopTest(self, test: unittest.TestCase) -> None:
        """Write what came of it."""
        super().stopTest(test)
        self._in_place.tidy()
        outcome, why = self._outcome or (results.Outcome.PASSED, "")
        result = results.Result(
            id=test.id(),
            outcome=outcome,
            why=why,
            seconds=round(time.monotonic() - self._started_s, 3),
            through_plugin=self._in_place.loads > self._loads,
        )
        self._stream.write(result.line())
        self._stream.flush()

    def _failed(self, error: typing.Any) -> None:
        if self._outcome is None or self._outcome[0] is not results.Outcome.FAILED:
            self._outcome = results.Outcome.FAILED, _error(str(error[1]))

    def addError(self, _test: unittest.TestCase, err: typing.Any) -> None:
        """Count it as failed: Neutron's tests make no difference."""
        self._failed(err)

    def addFailure(self, _test: unittest.TestCase, err: typing.Any) -> None:
        """Count it as failed."""
        self._failed(err)

    def addSubTest(
        self, _test: unittest.TestCase, _subtest: unittest.TestCase, err: typing.Any
    ) -> None:
        """Count a test as failed if one of its parts is."""
        if err is not None:
            self._failed(err)

    def addSkip(self, _test: unittest.TestCase, reason: str) -> None:
        """Say why it was skipped."""
        self._outcome = results.Outcome.SKIPPED, reason

    def addUnexpectedSuccess(self, _test: unittest.TestCase) -> None:
        """Count it as failed, as unittest does."""
        self._outcome = results.Outcome.FAILED, "unexpected success"


def _error(trace: str) -> str:
    """Return the error of a trace: what follows its last frame, without all of its data."""
    _, _, last = trace.rpartition('  File "')
    lines = [line for line in last.splitlines()[1:] if line and not line.startswith(" ")]
    return (lines[0] if lines else trace.strip())[:300]


#: Tests that one process runs in a row: a class's often share what they need first.
_CHUNK = 20


def collect(modules: typing.Iterable[str], share: int, shares: int) -> list[unittest.TestCase]:
    """Return a share of all tests of the modules, scenarios multiplied."""
    tests: list[unittest.TestCase] = []
    for module in modules:
        suite = unittest.defaultTestLoader.loadTestsFromName(suites.PACKAGE + module)
        tests += testscenarios.generate_scenarios(suite)
    return [test for index, test in enumerate(tests) if index // _CHUNK % shares == share]


def run(tests: typing.Iterable[unittest.TestCase], variant: Variant, into: pathlib.Path) -> None:
    """Run them one after the other."""
    in_place = plugins.InPlace(variant)
    with into.open("a") as stream, in_place.put():
        recorder = Recorder(stream, in_place)
        for test in tests:
            test.run(recorder)


def main() -> int:
    """Run one share of what has no result yet."""
    parser = argparse.ArgumentParser(prog="python -m lab.conformance.worker")
    parser.add_argument("variant", type=Variant)
    parser.add_argument("folder", type=pathlib.Path, help="where the results are")
    parser.add_argument("--share", type=int, default=0, help="which share of all tests to run")
    parser.add_argument("--shares", type=int, default=1, help="how many shares there are")
    parser.add_argument("--module", action="append", help="only this one, below neutron.tests.unit")
    parser.add_argument("--only", type=pathlib.Path, help="JSON list of the ids of tests to run")
    options = parser.parse_args()
    done = results.read(options.folder, options.variant)
    only = set(json.loads(options.only.read_text())) if options.only else None
    wanted = [
        test
        for test in collect(options.module or suites.MODULES, options.share, options.shares)
        if test.id() not in done and (only is None or test.id() in only)
    ]
    gc.freeze()  # spares every collection the million objects that importing Neutron made
    run(wanted, options.variant, results.path(options.folder, options.variant, options.share))
    return 0


if __name__ == "__main__":
    sys.exit(main())
