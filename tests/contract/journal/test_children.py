# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Workflows that a running one opens: after it where they share a key, and beside each other."""

from tests.contract.journal.world import World, change


def test_children_run_after_their_parent_and_beside_each_other(world: World) -> None:
    world.record(change("qos_policy/q"))
    parent = world.claim()
    assert parent is not None
    children = [change(f"port/{name}", shared=["qos_policy/q"]) for name in ("a", "b")]
    world.journal.open_children(parent, children)
    assert world.sync_state("port/a") == ("PENDING", None)
    assert world.claim() is None

    world.journal.succeed(parent)
    assert world.claim_all().keys() == {child.id for child in children}


def test_child_opened_twice_runs_once(world: World) -> None:
    world.record(change("qos_policy/q"))
    parent = world.claim()
    assert parent is not None
    for _ in range(2):
        world.journal.open_children(parent, [change("port/a", shared=["qos_policy/q"])])
    world.journal.succeed(parent)
    (claim,) = world.claim_all().values()
    assert len(claim.folded) == 1
