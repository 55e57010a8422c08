# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""How many workers there are: as many as are to work, beside those whose call is late."""

import threading

import pytest

from networking_workflow.conductor import workers


class Hand(threading.Thread):
    """A thread that stays until it is let go."""

    def __init__(self, number):
        super().__init__(name=f"hand-{number}", daemon=True)
        self.go = threading.Event()

    def run(self):
        """Stay."""
        self.go.wait(60)


class Late:
    """How many calls are late."""

    def __init__(self):
        self.count = 0

    def __call__(self):
        return self.count


@pytest.fixture
def late():
    return Late()


@pytest.fixture
def crew(late):
    """Two that are to work, four at most."""
    crew = workers.Crew(2, Hand, most=4, late=late)
    crew.fill()
    yield crew
    for one in crew.close():
        one.go.set()
        one.join(5)


def size(crew):
    return len(crew._workers)


def test_another_one_works_in_place_of_each_that_is_stuck(crew, late):
    assert size(crew) == 2
    late.count = 1
    crew.fill()
    assert size(crew) == 3


def test_there_are_never_more_than_most_however_many_are_stuck(crew, late):
    late.count = 50
    crew.fill()
    assert size(crew) == 4


def test_one_that_is_back_works_and_the_first_that_has_nothing_in_hand_ends(crew, late):
    late.count = 2
    crew.fill()
    first, second, third, fourth = crew.close()
    late.count = 1
    assert [crew.dismiss(one) for one in (third, fourth)] == [True, False]
    late.count = 0
    assert [crew.dismiss(one) for one in (first, second)] == [True, False]
    assert size(crew) == 2
    for one in (first, third):
        one.go.set()
        one.join(5)


def test_one_that_is_back_while_another_gets_stuck_takes_its_place(crew, late):
    late.count = 1
    crew.fill()
    late.count = 0  # back, and busy with what comes next
    late.count = 1  # another call is late
    crew.fill()
    assert size(crew) == 3


def test_what_could_not_be_started_is_started_next_time(late, monkeypatch):
    def cannot(_self):
        raise RuntimeError("can't start new thread")

    crew = workers.Crew(2, Hand, most=4, late=late)
    with monkeypatch.context() as patch:
        patch.setattr(Hand, "start", cannot)
        with pytest.raises(RuntimeError):
            crew.fill()
    assert size(crew) == 0
    crew.fill()
    assert size(crew) == 2
    for one in crew.close():
        one.go.set()
        one.join(5)


def test_none_starts_once_the_conductor_stops(crew, late):
    crew.close()
    late.count = 2
    crew.fill()
    assert size(crew) == 2
