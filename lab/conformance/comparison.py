# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Compares what came of each test on stock and on this plugin, and looks for the reasons."""

import collections
import collections.abc
import dataclasses
import typing

from lab.conformance import suites
from lab.conformance.differences import Difference
from lab.conformance.results import Outcome, Result

Results = collections.abc.Mapping[str, Result]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Differing:
    """One test that ends otherwise on this plugin than on stock."""

    stock: Result
    ours: Result
    at_once: Result | None  #: on this plugin with the drivers called in the call
    explanation: Difference | None

    @property
    def name(self) -> str:
        """Return the test's id below Neutron's unit tests."""
        return short(self.stock.id)

    @property
    def complaint(self) -> str | None:
        """Return what is wrong with the explanation, if anything is."""
        ends = f"{self.stock.outcome} on stock, {self.ours.outcome} on this plugin"
        if self.explanation is None:
            return f"not explained: {self.name}: {ends}: {self.ours.why or self.stock.why}"
        if not self.explanation.is_time_only:
            return None
        if self.at_once is None or self.at_once.outcome != self.stock.outcome:
            why = self.at_once.why if self.at_once else "not run"
            return f"more than the time of a driver's call: {self.name}: {ends}: {why}"
        return None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """The whole comparison."""

    stock: Results
    ours: Results
    differing: tuple[Differing, ...]
    explanations: tuple[Difference, ...]

    def of(self, explanation: Difference) -> list[Differing]:
        """Return the tests whose difference it explains."""
        return [one for one in self.differing if one.explanation is explanation]

    def counts(self, module: str) -> "Counts":
        """Return how many tests of a module ended how."""
        prefix = f"{suites.PACKAGE}{module}."
        ids = [id_ for id_ in self.stock if id_.startswith(prefix)]
        differing = [one for one in self.differing if one.stock.id.startswith(prefix)]
        of_time = [one for one in differing if one.explanation and one.explanation.is_time_only]
        alike = collections.Counter(
            self.stock[id_].outcome for id_ in ids if _alike(self.stock[id_], self.ours.get(id_))
        )
        return Counts(
            tests=len(ids),
            through_plugin=sum(id_ in self.ours and self.ours[id_].through_plugin for id_ in ids),
            passed=alike[Outcome.PASSED],
            skipped=alike[Outcome.SKIPPED],
            failed=alike[Outcome.FAILED],
            time=len(of_time),
            other=len(differing) - len(of_time),
        )

    def complaints(self, *, every_suite: bool) -> list[str]:
        """Return all that is left to be explained, or to be run."""
        found = [
            f"not run on both: {short(id_)}" for id_ in sorted(self.stock.keys() ^ self.ours.keys())
        ]
        found += [one.complaint for one in self.differing if one.complaint]
        if every_suite:
            found += [
                f"explains nothing any more: {one.pattern}"
                for one in self.explanations
                if not self.of(one)
            ]
        return found

    def is_explained(self, *, every_suite: bool) -> bool:
        """Return whether nothing is left."""
        return not self.complaints(every_suite=every_suite)

    def summary(self) -> str:
        """Return the comparison in one line."""
        explained = sum(one.complaint is None for one in self.differing)
        return (
            f"{len(self.stock)} tests; {len(self.differing)} differ, of which {explained} "
            "are explained"
        )


class Counts(typing.NamedTuple):
    """How many tests of one module ended how; the columns of the page's table."""

    tests: int
    through_plugin: int
    passed: int  #: on both
    skipped: int  #: on both
    failed: int  #: on both
    time: int  #: differ by the time of a driver's call alone
    other: int  #: differ otherwise


def short(id_: str) -> str:
    """Return an id without the package that all have in common."""
    return id_.removeprefix(suites.PACKAGE)


def _alike(stock: Result, ours: Result | None) -> bool:
    return ours is not None and stock.outcome == ours.outcome


def differing(stock: Results, ours: Results) -> list[str]:
    """Return the ids of the tests that end otherwise on this plugin than on stock."""
    return [id_ for id_ in stock if id_ in ours and not _alike(stock[id_], ours[id_])]


def compare(
    stock: Results,
    ours: Results,
    at_once: Results,
    explanations: tuple[Difference, ...],
) -> Compared:
    """Put the results and the explanations together; the first that matches counts."""
    return Compared(
        stock=stock,
        ours=ours,
        differing=tuple(
            Differing(
                stock=stock[id_],
                ours=ours[id_],
                at_once=at_once.get(id_),
                explanation=next((one for one in explanations if one.matches(short(id_))), None),
            )
            for id_ in differing(stock, ours)
        ),
        explanations=explanations,
    )
