# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Why a step did not succeed: a fixed vocabulary for tenants, the driver's own words for admins."""

import dataclasses
import enum

from networking_workflow.model.states import SyncState


class FailureCode(enum.StrEnum):
    """What a tenant may read; the text of each code is in :data:`TENANT_TEXT`."""

    BACKEND_UNREACHABLE = "BACKEND_UNREACHABLE"
    BACKEND_BUSY = "BACKEND_BUSY"
    BACKEND_REFUSED = "BACKEND_REFUSED"
    BACKEND_DIFFERS = "BACKEND_DIFFERS"
    REFERENCE_MISSING = "REFERENCE_MISSING"
    STILL_IN_USE = "STILL_IN_USE"
    DRIVER_ERROR = "DRIVER_ERROR"
    CANCELLED = "CANCELLED"


#: Safe for tenants: no host names, no addresses, no words of a driver.
TENANT_TEXT: dict[FailureCode, str] = {
    FailureCode.BACKEND_UNREACHABLE: (
        "The network backend cannot be reached; the change is kept and will be applied when it is "
        "back."
    ),
    FailureCode.BACKEND_BUSY: (
        "The network backend did not take the change yet; it will be tried again."
    ),
    FailureCode.BACKEND_REFUSED: "The network backend refused the change.",
    FailureCode.BACKEND_DIFFERS: (
        "The network backend holds something else than what was asked for."
    ),
    FailureCode.REFERENCE_MISSING: (
        "Something that this resource refers to is not in the network backend yet."
    ),
    FailureCode.STILL_IN_USE: "Something in the network backend still refers to this resource.",
    FailureCode.DRIVER_ERROR: "A network driver failed while it applied the change.",
    FailureCode.CANCELLED: "An operator cancelled the change.",
}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """One failed attempt of one step."""

    code: FailureCode
    detail: str  #: the driver's own words; admins only, never in a tenant's answer
    shows: SyncState = SyncState.ERROR  #: of the resource, if a workflow ends with this failure

    @property
    def message(self) -> str:
        """Return the text that a tenant may see."""
        return TENANT_TEXT[self.code]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """What a workflow that runs and its resource say is wrong."""

    failure: Failure | None = None  #: of the workflow's last attempt that failed
    sync_error: FailureCode | None = None
