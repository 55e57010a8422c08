# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Calls cost the same however deep they are made."""

import resource

import pytest

from networking_workflow.model import frames

CALLS = 1000
DEPTHS = range(300)


def leaf():
    pass


def busy():
    for _ in range(CALLS):
        leaf()


def deeper(depth, call):
    return call() if depth == 0 else deeper(depth - 1, call)


def most_page_faults():
    """Return the page faults of ``CALLS`` calls, at the depth where they are most."""
    worst = 0
    for depth in DEPTHS:
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
        deeper(depth, busy)
        worst = max(worst, resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before)
    return worst


def test_without_room_there_is_a_depth_at_which_every_call_faults():
    """When this fails, Python has mended it, and the module may go."""
    assert most_page_faults() >= CALLS


def test_with_room_there_is_none():
    assert frames.with_room(most_page_faults) < CALLS / 10


def test_what_is_called_answers_and_raises_as_without():
    assert frames.with_room(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        frames.with_room(lambda: 1 / 0)
