# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Neutron with an embedded conductor and any mechanism drivers, in a process of its own."""

import collections.abc
import contextlib
import pathlib
import typing

import sqlalchemy as sa

from networking_workflow.journal import tables
from networking_workflow.model import states
from networking_workflow.testing import neutron, resources
from tests.waiting import wait_until

Json = dict[str, typing.Any]

#: Seconds within which everything that a test waits for has to come, on a loaded machine too.
PATIENCE_S = 60

_QUICK = """\
[workflow]
conductor = embedded
workers = 2
attempts = {attempts}
first_delay_s = 0.05
max_delay_s = {max_delay_s}
poll_s = 0.5
chores_s = 1
probe_s = 0.5
"""


class Cloud:
    """Changes as a tenant makes them, and the journal."""

    def __init__(self, process: neutron.Neutron, folder: pathlib.Path) -> None:
        self.call = process.call
        self._engine = sa.create_engine(
            f"sqlite:///{folder}/neutron.db", poolclass=sa.NullPool, connect_args={"timeout": 60}
        )

    def create(self, kind: str, **attributes: typing.Any) -> Json:
        return typing.cast(Json, self.call(resources.create, kind, attributes))

    def update(self, kind: str, resource_id: str, **attributes: typing.Any) -> Json:
        return typing.cast(Json, self.call(resources.update, kind, resource_id, attributes))

    def delete(self, kind: str, resource_id: str) -> None:
        self.call(resources.delete, kind, resource_id)

    def show(self, kind: str, resource_id: str) -> Json:
        return typing.cast(Json, self.call(resources.get, kind, resource_id))

    def workflows(self, resource_id: str) -> list[typing.Any]:
        """Return the workflows of a resource, the oldest first."""
        table = tables.workflows
        found = sa.select(table).where(table.c.resource_id == resource_id)
        return self._rows(found.order_by(table.c.gen))

    def states(self, resource_id: str) -> list[str]:
        """Return their states."""
        return [row.state for row in self.workflows(resource_id)]

    def tasks(self, resource_id: str) -> list[typing.Any]:
        """Return the tasks of a resource."""
        return self._rows(sa.select(tables.tasks).where(tables.tasks.c.resource_id == resource_id))

    def latest(self, resource_id: str) -> typing.Any:
        """Return the newest workflow that was not folded into another, or healed by one."""
        return [one for one in self.workflows(resource_id) if one.state != "SUPERSEDED"][-1]

    def comes_to(self, resource_id: str, state: str) -> None:
        """Wait until that one is so."""
        wait_until(
            lambda: self.latest(resource_id).state == state,
            PATIENCE_S,
            lambda: f"{resource_id} to be {state}; it is {self.workflows(resource_id)}",
        )

    def settles(self) -> None:
        """Wait until every workflow is over."""
        table = tables.workflows
        unfinished = sa.select(table).where(table.c.state.not_in(states.TERMINAL))
        wait_until(
            lambda: not self._rows(unfinished),
            PATIENCE_S,
            lambda: f"every workflow to be over; these are not: {self._rows(unfinished)}",
        )

    def _rows(self, query: sa.Select[typing.Any]) -> list[typing.Any]:
        with self._engine.connect() as connection:
            return list(connection.execute(query).all())


@contextlib.contextmanager
def running(
    folder: pathlib.Path,
    *,
    mechanism_drivers: str,
    configuration: str = "",
    attempts: int = 3,
    max_delay_s: float = 0.2,
) -> collections.abc.Iterator[Cloud]:
    """Run it until the block ends; its log is in ``folder``."""
    workflow = _QUICK.format(attempts=attempts, max_delay_s=max_delay_s)
    with neutron.running(
        folder, mechanism_drivers=mechanism_drivers, configuration=workflow + configuration
    ) as process:
        process.call(_start_conductor)
        yield Cloud(process, folder)


def _start_conductor(plugin: typing.Any) -> None:
    from networking_workflow.cmd import embedded

    assert embedded.start_embedded(plugin) is not None
