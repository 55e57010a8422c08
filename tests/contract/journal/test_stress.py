# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Random work on every database, all that may go wrong, and what must hold in spite of it.

``NETWORKING_WORKFLOW_STRESS`` is the number of workflows per database (default 2,000).
"""

import os

from tests.contract.journal import stress
from tests.contract.journal.world import World

WORKFLOWS = int(os.environ.get("NETWORKING_WORKFLOW_STRESS", "2000"))


def test_none_is_lost_none_runs_twice_and_all_run_in_commit_order(world: World) -> None:
    run = stress.Run(world, WORKFLOWS)
    run.to_the_end()
    assert run.recorded >= WORKFLOWS
    assert run.troubles == []
    assert world.holds() == []
    assert set(world.states()) <= {"SUCCESS", "SUPERSEDED", "CANCELLED", "SKIPPED"}
    # Everything was met that is to be proved harmless.
    assert run.rolled_back > 0
    assert run.killed > 0
    assert run.taken_over > 0
    assert run.held > 0
    assert run.failed > 0
    assert run.retried > 0
    assert run.folded > 0
