# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What a conductor is told by value; the edges read it from the configuration."""

import dataclasses
import random
import socket
import typing

from networking_workflow.model.retry import RetryPolicy

#: Longest path of a unix socket on Linux, in bytes.
_MAX_SOCKET_PATH = 107
#: Length of a socket's name in ``wakeup_dir``: a separator, 32 hex digits and a suffix.
_SOCKET_NAME = 1 + 32 + len(".wake")

DAY_S = 86400.0


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class DriverLimits:
    """How often, how long and how many at a time one driver is called.

    :raises ValueError: if ``timeout_s`` is not above 0 or ``concurrency`` is below 1.
    """

    retry: RetryPolicy = dataclasses.field(default_factory=RetryPolicy)
    timeout_s: float | None = None  #: seconds after which a call is late; None: it never is
    concurrency: int | None = None  #: calls at a time in one conductor; None: as many as come

    def __post_init__(self) -> None:
        if self.timeout_s is not None and self.timeout_s <= 0:
            raise ValueError(f"timeout_s must be above 0 seconds, not {self.timeout_s}.")
        if self.concurrency is not None and self.concurrency < 1:
            raise ValueError(f"concurrency must be at least 1 call, not {self.concurrency}.")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ConductorSettings:
    """How one conductor works.

    :raises ValueError: if a number is out of range or ``wakeup_dir`` is too long for a socket.
    """

    host: str = dataclasses.field(default_factory=socket.gethostname)
    workers: int = 4  #: threads that run workflows
    lease_s: float = 30.0  #: seconds without renewal after which others take over
    poll_s: float = 1.0  #: longest time in seconds between two looks for work nobody hinted at
    retry: RetryPolicy = dataclasses.field(default_factory=RetryPolicy)
    drain_s: float = 20.0  #: seconds that running workflows get to finish at a stop
    hand_back_s: float = 5.0  #: seconds that calls get to return after that
    chores_s: float = 20.0  #: longest time in seconds between two rounds of chores
    probe_s: float = 2.0  #: seconds between two probes of an unreachable backend; at most
    keep_finished_s: float = 14 * DAY_S  #: seconds that ended workflows stay
    keep_failed_s: float = 90 * DAY_S  #: seconds that FAILED ones stay; not below the other
    wakeup_dir: str | None = None  #: folder of the hint sockets; None: hints of this process only
    drivers: typing.Mapping[str, DriverLimits] = dataclasses.field(default_factory=dict)
    """By name, of drivers that have limits of their own."""

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ValueError(f"A conductor needs at least 1 worker, not {self.workers}.")
        for name in ("lease_s", "poll_s", "chores_s", "probe_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0 seconds, not {getattr(self, name)}.")
        for name in ("drain_s", "hand_back_s"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0 seconds, not {getattr(self, name)}.")
        if self.keep_failed_s < self.keep_finished_s:
            raise ValueError(
                f"keep_failed_s, {self.keep_failed_s:g}, is below keep_finished_s, "
                f"{self.keep_finished_s:g}: it must be at least that many seconds."
            )
        if self.wakeup_dir and len(self.wakeup_dir.encode()) + _SOCKET_NAME > _MAX_SOCKET_PATH:
            raise ValueError(
                f"wakeup_dir {self.wakeup_dir!r} is too long for sockets in it: at most "
                f"{_MAX_SOCKET_PATH - _SOCKET_NAME} bytes."
            )

    def limits_of(self, driver: str) -> DriverLimits:
        """Return the limits of a driver; where none are set its calls have none but ``retry``."""
        return self.drivers.get(driver) or DriverLimits(retry=self.retry)

    @property
    def renew_s(self) -> float:
        """Return the seconds between two renewals: two may fail before the lease is over."""
        return self.lease_s / 3


def jittered_s(interval_s: float) -> float:
    """Return three quarters to all of ``interval_s``: conductors must not beat in step."""
    return random.uniform(0.75, 1.0) * interval_s
