# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What others bind meanwhile to what a call made that is to be undone."""

import typing

import pytest

from tests.functional.capture import undoing
from tests.functional.services.world import World

pytestmark = pytest.mark.behind_one_router

RELYING: dict[
    str, tuple[typing.Callable[[World], typing.Any], typing.Callable[..., typing.Any]]
] = {
    "a floating IP of a port": (
        lambda w: w.add_port(),
        lambda w, port: w.put("floatingip", w.floatingip, port_id=port["id"]),
    ),
    "a port with a policy": (
        lambda w: w.policy,
        lambda w, policy: w.put("port", w.port, qos_policy_id=policy["id"]),
    ),
}


@pytest.mark.parametrize("name", RELYING)
def test_what_was_bound_to_what_the_call_made_does_not_go_with_it(world: World, name: str) -> None:
    make, rely = RELYING[name]
    assert world.floatingip
    assert world.port
    call = undoing.Call(world.neutron, lambda: make(world))
    rely(world, call.answer)
    before = undoing.rows(world.neutron.engine)
    call.fail()
    restored = call.undo()
    assert not restored.done
    assert "relies on what this call made" in restored.why_not
    assert undoing.differences(before, undoing.rows(world.neutron.engine)) == []
