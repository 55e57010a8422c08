# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Hints between processes: best effort, never in the way."""

import pathlib
import threading

import pytest

from networking_workflow.conductor import wakeup


def names(folder):
    return [path.name for path in pathlib.Path(folder).iterdir()]


@pytest.fixture
def folder(short_path):
    return str(short_path / "wake")


@pytest.fixture
def listener(folder):
    listener = wakeup.Listener(folder)
    yield listener
    listener.close()


@pytest.fixture
def sender(folder):
    sender = wakeup.Sender(folder)
    yield sender
    sender.close()


def test_a_hint_arrives(listener, sender):
    assert sender.send() == 1
    assert listener.wait(5)


def test_no_hint_no_wake_up(listener):
    assert not listener.wait(0.01)


def test_many_hints_are_one(listener, sender):
    for _ in range(20):
        sender.send()
    assert listener.wait(5)
    assert not listener.wait(0)


def test_every_conductor_of_the_host_is_told_but_not_the_sender_itself(folder, listener):
    other = wakeup.Listener(folder)
    assert wakeup.Sender(folder, skip=listener.path).send() == 1
    assert other.wait(5)
    assert not listener.wait(0)
    other.close()


def test_a_full_socket_does_not_block_the_sender(listener, sender):
    for _ in range(5000):
        assert sender.send() == 1
    assert listener.wait(5)


def test_a_dead_conductors_socket_is_removed(folder, listener, sender):
    dead = wakeup.Listener(folder)
    for one in dead._sockets:
        one.close()  # as a kill leaves it: closed, its name still there
    assert len(names(folder)) == 2
    assert sender.send() == 1
    assert names(folder) == [listener.path.name]


def test_no_folder_no_harm(tmp_path):
    assert wakeup.Sender(str(tmp_path / "nowhere")).send() == 0


def test_what_is_not_a_socket_is_left_alone(folder, listener, sender):
    stray = pathlib.Path(folder) / "note.wake"
    stray.write_text("x")
    sender.send()
    assert listener.wait(5)
    assert stray.exists()


def test_a_nudge_ends_the_wait_and_is_no_hint(folder, listener):
    waiter = threading.Timer(0.0, listener.nudge)
    waiter.start()
    assert not listener.wait(5)
    waiter.join()


def test_a_stopped_conductor_leaves_no_socket(folder):
    wakeup.Listener(folder).close()
    assert names(folder) == []


def test_without_a_folder_there_are_only_nudges():
    listener = wakeup.Listener(None)
    listener.nudge()
    assert not listener.wait(5)
    listener.close()
