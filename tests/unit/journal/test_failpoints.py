# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Failpoints: nothing unless armed, and then exactly what they were armed with."""

import os
import signal
import subprocess
import sys

import pytest

from networking_workflow.journal import failpoints


def test_a_failpoint_that_nobody_armed_does_nothing() -> None:
    failpoints.failpoint("nothing")


def test_an_armed_failpoint_calls_what_it_was_armed_with_until_disarmed() -> None:
    calls: list[str] = []
    failpoints.arm("here", lambda: calls.append("here"))
    failpoints.failpoint("here")
    failpoints.disarm("here")
    failpoints.failpoint("here")
    assert calls == ["here"]


def test_a_child_process_is_killed_when_it_comes_there_for_the_second_time() -> None:
    program = (
        "from networking_workflow.journal.failpoints import failpoint\n"
        "for n in range(3): print(n, flush=True); failpoint('loop')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, failpoints.ENVIRONMENT: "other=kill, loop=kill:2"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    assert done.stdout.split() == ["0", "1"]


@pytest.mark.parametrize("text", ["name", "name=stop", "=kill", "name=kill:soon"])
def test_a_wrong_environment_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        failpoints.arm_from_environment(text)
