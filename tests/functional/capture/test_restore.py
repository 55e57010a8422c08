# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What a call changed is undone: every row of every table is as before it."""

import pytest

from tests.functional.capture import oracle, undoing
from tests.functional.capture.test_operations import NEEDS, OPERATIONS, PREPARE


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_call_that_is_undone_leaves_every_row_as_it_was_and_the_backends_follow(world, name):
    for thing in NEEDS[name.split()[0]]:
        getattr(world, thing)
    if name in PREPARE:
        world.prepared = PREPARE[name](world)
    before = undoing.rows(world.neutron.engine)
    call = undoing.Call(world.neutron, lambda: OPERATIONS[name](world))
    if name.endswith("nothing"):
        assert call.ids == []
        return
    call.fail()
    changed = oracle.read(world.neutron.engine)
    with world.neutron.capturing() as found:
        restored = call.undo()
    assert restored.done, restored
    assert undoing.differences(before, undoing.rows(world.neutron.engine)) == []
    assert oracle.reduce(found) == oracle.compare(changed, oracle.read(world.neutron.engine))
    assert set(restored.workflow_ids) == {workflow.row.id for workflow in found}
