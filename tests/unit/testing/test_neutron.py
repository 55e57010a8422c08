# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What authors of drivers are told of Neutron's process when a call does not come back well.

The process has no Neutron in it: what is called its plugin is the name of its configuration.
"""

import collections.abc
import os
import pathlib
import sys
import threading
import typing

import pytest

from networking_workflow.testing import neutron

#: Seconds that a call may take which is to return.
PATIENCE_S = 60.0


class Odd(Exception):
    """Holds what no other process can have."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()


def fail(_plugin: str, error: type[Exception]) -> typing.NoReturn:
    raise error("of port 7")


def name(plugin: str) -> str:
    return pathlib.Path(plugin).name


def end(_plugin: str) -> None:
    sys.stdout.write("the last that was said\n")
    sys.stdout.flush()
    os._exit(7)


def lock(_plugin: str) -> typing.Any:
    return threading.Lock()


def wait(_plugin: str) -> None:
    threading.Event().wait()


@pytest.fixture(scope="module")
def process(
    tmp_path_factory: pytest.TempPathFactory,
) -> collections.abc.Iterator[neutron.Neutron]:
    configuration = tmp_path_factory.mktemp("shared") / "the.conf"
    with neutron.serving(str, configuration, answer_s=PATIENCE_S) as running:
        yield running


def test_what_is_raised_there_is_raised_here(process: neutron.Neutron) -> None:
    with pytest.raises(LookupError, match="of port 7"):
        process.call(fail, LookupError)


def test_what_cannot_be_sent_is_told_in_words_and_the_process_goes_on(
    process: neutron.Neutron,
) -> None:
    with pytest.raises(RuntimeError, match=r"(?s)Odd: of port 7.*cannot be sent.*lock"):
        process.call(fail, Odd)
    with pytest.raises(TypeError, match="lock"):
        process.call(lock)
    assert process.call(name) == "the.conf"


def test_a_process_that_has_ended_is_said_with_how_and_with_its_log(
    tmp_path: pathlib.Path,
) -> None:
    with neutron.serving(str, tmp_path / "conf", answer_s=PATIENCE_S) as process:
        for _ in range(2):
            with pytest.raises(RuntimeError, match=r"ended with 7; .*\sthe last that was said"):
                process.call(end)


def test_a_call_that_does_not_return_ends_in_its_time_and_no_other_gets_its_answer(
    tmp_path: pathlib.Path,
) -> None:
    with neutron.serving(str, tmp_path / "conf", answer_s=0.2) as process:
        with pytest.raises(RuntimeError, match=r"wait\(\) did not return within 0.2 s"):
            process.call(wait)
        with pytest.raises(RuntimeError, match="ended with -9"):
            process.call(name)
