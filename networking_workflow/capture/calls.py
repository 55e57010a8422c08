# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What a thread's call has committed so far, and what waits for its end."""

import contextlib
import datetime
import threading
import typing

#: Called after each commit that recorded workflows (see :func:`committed_ids` for the exception),
#: with their ids, on the committing thread. They must neither raise nor block: the API call that
#: committed is still running.
AFTER_COMMIT: list[typing.Callable[[list[str]], None]] = []


class _Call(threading.local):
    def __init__(self) -> None:  # once a thread
        self.ids: list[str] | None = None  #: None: outside of any block
        self.held: list[str] | None = None  #: to be told of together; None: at each commit
        self.recorded_at: datetime.datetime | None = None
        self.afterwards: list[typing.Callable[[], None]] = []
        self.followed = False  #: changes of a task's own resource open no workflow


_CALL = _Call()


@contextlib.contextmanager
def committed_ids(*, told_together: bool = False) -> typing.Iterator[list[str]]:
    """Give a list that gets the id of each workflow committed on this thread within the block.

    A block is a request, or one call of a plugin. They may be nested: the outer one gets what the
    inner one got.

    :param told_together: call :data:`AFTER_COMMIT` once, at the end of the block: its commits
        change one resource one after the other, and are folded if nobody claims the first too soon.
    """
    outer, outer_held = _CALL.ids, _CALL.held
    inner: list[str] = []
    _CALL.ids = inner
    if told_together and outer_held is None:
        _CALL.held = []
    try:
        yield inner
    finally:
        held, _CALL.held = _CALL.held, outer_held
        if held and held is not outer_held:
            tell(held)
        _CALL.ids = outer
        if outer is not None:
            outer.extend(inner)
        else:
            afterwards, _CALL.afterwards = _CALL.afterwards, []
            for do in afterwards:
                do()


def after_call(do: typing.Callable[[], None]) -> None:
    """Do it when this thread's outermost :func:`committed_ids` ends; at once outside of one.

    For what would share the interpreter with the rest of the call, whose answer is waited for.
    """
    if _CALL.ids is None:
        do()
    else:
        _CALL.afterwards.append(do)


@contextlib.contextmanager
def following() -> typing.Iterator[None]:
    """Open no workflow for what a task changes of its own resource within the block.

    For a task which others of the same workflow come after: they read it anyway. Other lanes'
    workflows are opened.
    """
    _CALL.followed = True
    try:
        yield
    finally:
        _CALL.followed = False


def recorded_at() -> datetime.datetime:
    """Return the time that this thread's last workflows have in the journal; there must be some."""
    assert _CALL.recorded_at is not None, "nothing was recorded"
    return _CALL.recorded_at


def committed(workflow_ids: list[str], recorded_at: datetime.datetime | None) -> None:
    """Note what a transaction of this thread has committed, and tell of it unless that is held."""
    _CALL.recorded_at = recorded_at
    if _CALL.ids is not None:
        _CALL.ids.extend(workflow_ids)
    if _CALL.held is not None:
        _CALL.held.extend(workflow_ids)
    else:
        tell(workflow_ids)


def is_followed() -> bool:
    """Return whether this thread is within a block of :func:`following`."""
    return _CALL.followed


def tell(workflow_ids: list[str]) -> None:
    """Call :data:`AFTER_COMMIT`: these workflows have been committed, and may be READY."""
    for hook in AFTER_COMMIT:
        hook(workflow_ids)
