# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A difference between stock and this plugin counts as explained only if its explanation holds."""

import pytest

from lab.conformance import comparison, page, results, suites
from lab.conformance.differences import Difference
from lab.conformance.results import Outcome, Result

NAME = "plugins.ml2.test_plugin.TestSome.test_thing"
TIME = Difference(pattern="*.TestSome.*", reason="Called later.")
OTHER = Difference(pattern="*.TestSome.*", reason="Shows more.", is_time_only=False)


def ended(outcome: Outcome, name: str = NAME) -> dict[str, Result]:
    id_ = suites.PACKAGE + name
    return {id_: Result(id=id_, outcome=outcome, why="Why: so", through_plugin=True)}


PASSED, FAILED = ended(Outcome.PASSED), ended(Outcome.FAILED)


def test_a_difference_without_an_explanation_is_a_complaint_that_names_it():
    compared = comparison.compare(PASSED, FAILED, {}, ())
    (complaint,) = compared.complaints(every_suite=True)
    assert complaint == (f"not explained: {NAME}: passed on stock, failed on this plugin: Why: so")


@pytest.mark.parametrize("at_once", [{}, FAILED])
def test_the_time_of_a_call_explains_nothing_if_calling_at_once_does_not_help(at_once):
    compared = comparison.compare(PASSED, FAILED, at_once, (TIME,))
    (complaint,) = compared.complaints(every_suite=True)
    assert complaint.startswith(f"more than the time of a driver's call: {NAME}")


def test_the_time_of_a_call_explains_what_ends_as_on_stock_if_called_at_once():
    compared = comparison.compare(PASSED, FAILED, PASSED, (TIME,))
    assert compared.is_explained(every_suite=True)
    assert compared.counts("plugins.ml2.test_plugin").time == 1


def test_another_explanation_needs_no_third_run():
    compared = comparison.compare(PASSED, FAILED, {}, (OTHER,))
    assert compared.is_explained(every_suite=True)
    assert compared.counts("plugins.ml2.test_plugin").other == 1


def test_a_test_that_fails_on_stock_alone_is_a_difference_too():
    assert comparison.differing(FAILED, PASSED) == list(FAILED)


def test_an_explanation_of_nothing_is_a_complaint_once_every_suite_has_run():
    compared = comparison.compare(PASSED, PASSED, {}, (TIME,))
    assert compared.complaints(every_suite=False) == []
    assert compared.complaints(every_suite=True) == [f"explains nothing any more: {TIME.pattern}"]


def test_a_test_without_a_result_on_both_is_a_complaint():
    other = ended(Outcome.PASSED, "plugins.ml2.test_plugin.TestSome.test_other")
    compared = comparison.compare(PASSED | other, PASSED, {}, ())
    assert compared.complaints(every_suite=True) == [
        "not run on both: plugins.ml2.test_plugin.TestSome.test_other"
    ]


def test_the_page_names_each_test_that_differs_under_its_reason():
    compared = comparison.compare(PASSED, FAILED, PASSED, (TIME,))
    text = page.text(compared, "29.0.0")
    assert text.index(TIME.reason) < text.index(f"- `{NAME}`: failed")
    assert "| `plugins.ml2.test_plugin` | 1 | 1 | 0 | 0 | 0 | 1 | 0 |" in text


def test_a_result_that_was_cut_short_is_run_again(tmp_path):
    (done,) = PASSED.values()
    results.path(tmp_path, "ours", 0).write_text(done.line() + done.line()[:20])
    assert results.read(tmp_path, "ours") == PASSED
