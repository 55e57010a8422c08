# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""From what a driver says its change reaches to workflows, a batch a transaction.

A batch locks the keys of its resources until it has committed, and an API call that changes one of
them waits for that long; so batches are small. What was opened twice, because a conductor was
killed in between, is folded into one when it is claimed.
"""

import collections
import itertools
import typing
import uuid

import sqlalchemy as sa

from networking_workflow.journal import references
from networking_workflow.model import keys, states, workflows

#: Workflows of one transaction.
BATCH = 50

#: (lane, resource type, resource id, references) -> keys; ``plan.keys.keys_for``.
KeyFunction = typing.Callable[
    [str, str, str, typing.Iterable[tuple[str, str]]], dict[str, keys.Mode]
]


def batches(
    reached: typing.Iterable[references.Reference],
) -> typing.Iterator[list[references.Reference]]:
    """Yield ``reached`` in its order, each once, :data:`BATCH` at a time."""
    each_once = iter(dict.fromkeys(reached))
    while batch := list(itertools.islice(each_once, BATCH)):
        yield batch


def updates(
    connection: sa.Connection,
    parent: workflows.Claim,
    batch: typing.Sequence[references.Reference],
    key_function: KeyFunction,
) -> list[workflows.NewWorkflow]:
    """Return an update of each resource that has a row, part of the parent's operation.

    :raises KeyError: for a resource type that has no workflows.
    """
    ids: dict[str, list[str]] = collections.defaultdict(list)
    for kind, resource_id in batch:
        ids[kind].append(resource_id)
    rows = {kind: references.read(connection, kind, some) for kind, some in ids.items()}
    return [
        workflows.NewWorkflow(
            id=str(uuid.uuid4()),
            resource_type=kind,
            resource_id=resource_id,
            operation=states.Operation.UPDATE,
            keys=key_function(parent.lane, kind, resource_id, rows[kind][resource_id].references),
            project_id=parent.project_id,
            operation_id=parent.operation_id,
            request_id=parent.request_id,
            initiator=states.Initiator.DRIVER,
            lane=parent.lane,
            standard_attr_id=rows[kind][resource_id].standard_attr_id,
        )
        for kind, resource_id in batch
        if rows[kind][resource_id].exists
    ]
