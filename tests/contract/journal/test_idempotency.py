# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What a POST has made under a key: one entry a key, by whoever commits first."""

import concurrent.futures
import dataclasses

import pytest
import sqlalchemy as sa

from networking_workflow.journal import clock, idempotency, tables
from tests.contract.journal.world import World, change

NAMES = {"project_id": "p", "key": "k", "fingerprint": "f"}
KEY = idempotency.Key(**NAMES)
MADE = ("b", "a")


def made(world: World, key: idempotency.Key = KEY, ids: idempotency.Ids = MADE) -> None:
    with world.api().begin() as connection:
        idempotency.insert(connection, key, "req", ids)
    world.sync()


def aged(world: World, key: idempotency.Key, age_s: float) -> None:
    """Let an entry have been written so long ago."""
    table = tables.idempotency_keys
    own = sa.update(table).where(table.c.idempotency_key == key.key)
    with world.observer.begin() as connection:
        connection.execute(own.values(created_at=clock.after(-age_s)))
    world.sync()


def named(key: str) -> idempotency.Key:
    return idempotency.Key(project_id="p", key=key, fingerprint="f")


def test_what_a_call_has_made_is_found_with_its_workflows(world: World) -> None:
    own, other = (
        dataclasses.replace(change(name), operation_id="req") for name in ("port/a", "port/z")
    )
    world.record(own, other, change("port/b"))
    made(world)
    entry = world.journal.made_under(KEY)
    assert entry == idempotency.Entry(
        fingerprint="f",
        operation_id="req",
        resource_ids=MADE,
        workflow_ids=(own.id,),
        is_over=False,
    )


@pytest.mark.parametrize("other", [{"key": "K"}, {"key": "kk"}, {"project_id": "q"}], ids=str)
def test_keys_differ_by_each_character_and_by_project(world: World, other: dict[str, str]) -> None:
    made(world)
    assert world.journal.made_under(idempotency.Key(**{**NAMES, **other})) is None


def test_who_comes_second_waits_for_the_first_and_fails(world: World) -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        with world.api().begin() as connection:
            idempotency.insert(connection, KEY, "first", MADE)
            second = threads.submit(made, world)
        with pytest.raises(sa.exc.DBAPIError):
            second.result(60)
    entry = world.journal.made_under(KEY)
    assert entry is not None
    assert entry.operation_id == "first"


def test_an_entry_names_what_there_is_and_goes_with_the_last(world: World) -> None:
    made(world)
    with world.api().begin() as connection:
        assert not idempotency.change(connection, KEY, ("a",), ("a", "c"))
        assert idempotency.change(connection, KEY, MADE, ("b", "a", "c"))
    world.sync()
    entry = world.journal.made_under(KEY)
    assert entry is not None
    assert entry.resource_ids == ("b", "a", "c")
    with world.api().begin() as connection:
        assert not idempotency.change(connection, KEY, MADE, ())
        assert idempotency.change(connection, KEY, ("b", "a", "c"), ())
    world.sync()
    assert world.journal.made_under(KEY) is None


def test_an_entry_that_names_nothing_is_none(world: World) -> None:
    with pytest.raises(sa.exc.DBAPIError):
        made(world, ids=())


def test_what_is_over_is_overwritten_once_and_nothing_else_is(world: World) -> None:
    made(world)
    aged(world, KEY, idempotency.KEPT_S - 60)
    again = idempotency.Key(project_id="p", key="k", fingerprint="g")
    with world.api().begin() as connection:
        assert not idempotency.renew(connection, again, "second", ("c",))
    aged(world, KEY, idempotency.KEPT_S + 60)
    entry = world.journal.made_under(KEY)
    assert entry is not None
    assert entry.is_over
    for operation, is_first in (("second", True), ("third", False)):
        with world.api().begin() as connection:
            assert idempotency.renew(connection, again, operation, ("c",)) is is_first
    world.sync()
    entry = world.journal.made_under(again)
    assert entry is not None
    assert (entry.operation_id, entry.fingerprint, entry.resource_ids) == ("second", "g", ("c",))
    assert not entry.is_over


def test_what_is_over_is_forgotten_the_oldest_first_in_batches(world: World) -> None:
    for number, name in enumerate("abcd"):
        made(world, named(name))
        aged(world, named(name), idempotency.KEPT_S + 60 * (1.5 - number))
    assert world.journal.forget_keys(limit=1) == 1
    world.sync()
    found = [name for name in "abcd" if world.journal.made_under(named(name))]
    assert found == ["b", "c", "d"]
    assert world.journal.forget_keys(limit=500) == 1
    assert world.journal.forget_keys(limit=500) == 0
    world.sync()
    assert [name for name in "abcd" if world.journal.made_under(named(name))] == ["c", "d"]
