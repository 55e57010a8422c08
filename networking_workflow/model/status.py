# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What ``status`` says of a resource whose backends have not followed, if it is to say so."""

import enum

from networking_workflow.model.states import SyncState


class StatusMode(enum.StrEnum):
    """Who learns from ``status`` how far the backends are."""

    SEPARATE = "separate"  #: nobody: ``sync_state`` says it
    EXTENDED = "extended"  #: callers who are no service: ``sync_state`` is folded into it


#: Statuses of Neutron's that read as if nothing were left to do; only these become BUILD.
SETTLED = frozenset({"ACTIVE", "DOWN"})

#: While this is the ``sync_state``, a settled status reads so.
UNFINISHED = {SyncState.PENDING: "BUILD"}

#: While this is the ``sync_state``, every status reads so.
WRONG = {SyncState.ERROR: "ERROR", SyncState.DRIFTED: "ERROR"}


def shown(status: str | None, sync_state: SyncState) -> str | None:
    """Return what ``status`` reads in the mode ``extended``."""
    if sync_state in WRONG:
        return WRONG[sync_state]
    return UNFINISHED.get(sync_state, status) if status in SETTLED else status
