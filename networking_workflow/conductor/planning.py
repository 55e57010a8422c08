# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Who is called for a workflow, and whether its keys cover what the calls will read."""

import typing

import sqlalchemy as sa

from networking_workflow.conductor import shared
from networking_workflow.drivers import protocol
from networking_workflow.journal import references
from networking_workflow.model import keys, states, tasks, workflows
from networking_workflow.plan import flows

#: What a resource refers to today, sorted, each once; None: its row is gone.
Refers = tuple[references.Reference, ...] | None


def drivers(tools: shared.Tools, claim: workflows.Claim) -> list[protocol.Driver]:
    """Return who is called, in order; empty: no driver programs such a resource.

    :raises TransientFailure: if the workflow's lane is not one of this conductor's.
    """
    mine = flows.drivers_in(claim.lane, tools.graph, tools.drivers)
    return flows.drivers_for(mine, claim.resource_type, claim.operation, claim.snapshot)


def refers(connection: sa.Connection, claim: workflows.Claim) -> Refers:
    """Return what the claim's resource refers to today."""
    return references.today(connection, claim.resource_type, claim.resource_id)


def missing_keys(
    tools: shared.Tools, claim: workflows.Claim, found: typing.Iterable[references.Reference]
) -> dict[str, keys.Mode] | None:
    """Return all keys that an apply needs, if the claim's do not cover them; None: they do."""
    wanted = tools.key_function(claim.lane, claim.resource_type, claim.resource_id, found)
    if _covers(claim.keys, wanted):
        return None
    return keys.strongest([*claim.keys.items(), *wanted.items()])


def _covers(held: typing.Mapping[str, keys.Mode], wanted: typing.Mapping[str, keys.Mode]) -> bool:
    """Return whether every wanted key is held, in the wanted mode or a stronger one."""
    return all(
        held.get(key) is mode or held.get(key) is keys.Mode.EXCLUSIVE
        for key, mode in wanted.items()
    )


def at_claim(
    tools: shared.Tools, connection: sa.Connection, claim: workflows.Claim
) -> list[tasks.PlannedTask]:
    """Return the tasks that a first claim starts in its own transaction (``claims.Plan``).

    None if its row is gone or it lacks keys: the run looks at it anew, and settles it.
    """
    called = drivers(tools, claim)
    if called and claim.operation is not states.Operation.DELETE:
        found = refers(connection, claim)
        if found is None or missing_keys(tools, claim, found) is not None:
            return []
    return flows.planned(called)
