# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What all runs of one conductor share."""

import dataclasses
import logging
import threading
import typing

import sqlalchemy as sa

from networking_workflow.conductor import breaker, calls, fanout, guard, settings
from networking_workflow.drivers import protocol
from networking_workflow.journal import journal as journals
from networking_workflow.model import graph as graphs
from networking_workflow.model import workflows

LOG = logging.getLogger(__name__)

T = typing.TypeVar("T")

#: Seconds between two tries to write while the database is away.
_DATABASE_RETRY_S = 1.0


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Tools:
    """The parts of a conductor that a run needs."""

    journal: journals.Journal
    reads: sa.Engine  #: for Neutron's rows
    drivers: typing.Sequence[protocol.Driver]
    graph: graphs.DriverGraph
    breakers: breaker.Breakers
    calls: typing.Mapping[str, calls.DriverCalls]  #: by driver; those of one backend share theirs
    settings: settings.ConductorSettings
    key_function: fanout.KeyFunction
    hint: typing.Callable[[typing.Sequence[str]], None]  #: these workflows may be claimed
    handing_back: threading.Event  #: set: call no further driver, hand back what is unfinished

    def write(self, claim: workflows.Claim, write: typing.Callable[[], T]) -> T:
        """Return ``write()``; while the database is away, try again until it is back.

        Repeating is safe: a write whose first try did commit finds its fence gone.

        :raises LeaseLost: if another conductor owns the workflow by now.
        :raises sqlalchemy.exc.SQLAlchemyError: if it is away while this process stops.
        """
        while True:
            try:
                return write()
            except guard.DATABASE_AWAY as error:
                LOG.warning("Workflow %s: the database is away: %s", claim.id, error)
                if self.handing_back.wait(_DATABASE_RETRY_S):
                    raise
