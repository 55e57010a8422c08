# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""As many workers wake up as there is work."""

import threading

import pytest

from networking_workflow.conductor import work
from tests.waiting import wait_until


class Crew:
    """Idle workers that note what kind of permit each got."""

    def __init__(self, count: int) -> None:
        self.signal = work.WorkSignal(count)
        self.woken: list[bool] = []
        self.threads = [threading.Thread(target=self._wait, daemon=True) for _ in range(count)]
        for thread in self.threads:
            thread.start()
        wait_until(lambda: self.signal.idle == count, 5, "all to be idle")

    def _wait(self) -> None:
        self.woken.append(self.signal.wait())

    def woke(self, count: int) -> None:
        """Wait until ``count`` have woken up, and see that it stays at that."""
        wait_until(lambda: len(self.woken) == count, 5, f"{count} to wake up")
        assert self.signal.idle == len(self.threads) - count


@pytest.fixture
def crew():
    crew = Crew(4)
    yield crew
    crew.signal.close()
    for thread in crew.threads:
        thread.join(5)


def test_a_counted_hint_wakes_as_many_as_it_counts(crew):
    assert crew.signal.offer(3) == 0
    crew.woke(3)
    assert crew.woken == [False, False, False]


def test_a_hint_says_how_much_found_no_idle_worker(crew):
    assert crew.signal.offer(6) == 2
    crew.woke(4)


def test_work_of_unknown_size_wakes_one(crew):
    crew.signal.offer_some()
    crew.signal.offer_some()
    crew.woke(1)
    assert crew.woken == [True]


def test_each_find_passes_the_permit_on(crew):
    crew.signal.offer_some()
    crew.woke(1)
    crew.signal.took_one()
    crew.woke(2)
    crew.signal.took_one()
    crew.woke(3)


def test_a_busy_worker_uses_up_the_permit_of_what_it_takes():
    signal = work.WorkSignal(4)
    assert signal.offer(1) == 1
    signal.took_one()
    signal.close()
    assert signal.wait() is True  # nothing was left but the close itself


def test_close_lets_everybody_go(crew):
    crew.signal.close()
    crew.woke(4)
