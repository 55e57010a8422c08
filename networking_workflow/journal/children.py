# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Workflows that a running workflow opens: what its change reaches beside its own resource."""

import collections.abc

import sqlalchemy as sa

from networking_workflow.journal import fence, record
from networking_workflow.model import workflows


def open_some(
    connection: sa.Connection,
    parent: workflows.Claim,
    new: collections.abc.Sequence[workflows.NewWorkflow],
) -> None:
    """Record ``new`` while the parent's lease stands.

    Those that share a key with the parent come after it: it took its keys before.

    :raises LeaseLost: if the parent is another's by now.
    """
    fence.check_fence(connection, parent)
    record.record(connection, new)
