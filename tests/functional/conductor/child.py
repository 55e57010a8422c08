# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A conductor in a process of its own, with a driver that writes its calls to a file.

``python -m tests.functional.conductor.child <database url> <file>``; failpoints come from the
environment. Ends when its standard input does. An update of a network reaches all ports, of which
two are opened at once.
"""

import os
import sys

import sqlalchemy as sa

from networking_workflow.conductor import fanout, loop, settings
from networking_workflow.drivers import protocol
from networking_workflow.journal import engine, journal
from networking_workflow.model import states
from networking_workflow.plan import keys
from tests.unit.conductor.drivers import MemoryDriver


def main(url: str, path: str) -> None:
    """Run until standard input ends."""
    calls = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def write_down(target: protocol.Target) -> None:
        os.write(calls, f"{target.workflow_id} {target.task_id}\n".encode())

        if (target.resource_type, target.operation) == ("network", states.Operation.UPDATE):
            with own.connect() as connection:
                ports = connection.execute(sa.text("SELECT id FROM ports")).scalars().all()
            target.fan_out([("port", port) for port in ports])

    own = engine.make_engine(url)
    fanout.BATCH = 2
    conductor = loop.Conductor(
        journal.Journal(own),
        [MemoryDriver("memory", write_down)],
        settings.ConductorSettings(workers=2, lease_s=3.0, poll_s=0.1, chores_s=0.3),
        keys.keys_for,
    )
    conductor.start()
    sys.stdin.read()
    conductor.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
