# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A conductor as threads of an API process, and the hints that an API process gives.

Servers load the application before or after they fork, and some tell nobody that they did. So what
belongs to a process is looked up by its id, each time; and a worker that was forked from a process
with a conductor starts its own when it commits its first workflow.

On SQLite a server must load the application after it forks: SQLite's library does not survive a
fork while another thread is inside it.
"""

import atexit
import functools
import logging
import os
import sys
import threading
import typing

from oslo_config import cfg

from networking_workflow.capture import calls
from networking_workflow.cmd import assembly
from networking_workflow.conductor import loop, wakeup
from networking_workflow.conf import workflow as conf_workflow
from networking_workflow.model import errors

LOG = logging.getLogger(__name__)


#: Seconds after which a thread gives the interpreter up to one that wants it. At Python's own 5 ms
#: a request pays up to that after each answer of the database, while the conductor works.
SWITCH_S = 0.0005


class Edge:
    """What this module keeps for one API process."""

    def __init__(self, plugin: typing.Any, conf: cfg.ConfigOpts) -> None:
        self.plugin, self.conf, self.pid = plugin, conf, os.getpid()
        group = conf[conf_workflow.GROUP]
        self.embedded: bool = group.conductor == conf_workflow.EMBEDDED
        self.sender = wakeup.Sender(group.wakeup_dir) if group.wakeup_dir else None
        self.conductor: loop.Conductor | None = None

    def start(self) -> None:
        """Start the conductor, if it is to be embedded.

        :raises ConfigurationError: if it cannot run as configured.
        """
        if not self.embedded:
            return
        sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_S))
        workers = self.conf[conf_workflow.GROUP].workers
        engine = assembly.database(self.conf, workers)
        self.conductor = assembly.conductor(self.plugin, self.conf, engine)
        assembly.start(self.conductor, self.conf)

    def hint(self, workflow_ids: list[str]) -> None:
        """Wake whoever runs what has just been committed.

        A conductor of this process is woken when the request that committed has its answer: until
        then it would take turns with it, and somebody waits for the answer.
        """
        if self.conductor is not None:
            calls.after_call(functools.partial(self.conductor.hint, workflow_ids))
        elif self.sender is not None:
            self.sender.send()


#: Process id -> edge. What a worker inherited from the process it was forked from stays, unused: to
#: free those database connections would end the parent's.
_EDGES: dict[int, Edge] = {}


def start_embedded(plugin: typing.Any, conf: cfg.ConfigOpts = cfg.CONF) -> loop.Conductor | None:
    """Start this process's conductor and its hints; a second call changes nothing.

    Returns None where ``[workflow] conductor = separate``: then only the hints are set up.

    :raises ConfigurationError: if it cannot run as configured.
    """
    first = not _EDGES
    edge, new = _edge(plugin, conf)
    if new:
        edge.start()
    if first:
        calls.AFTER_COMMIT.append(_hint)
        atexit.register(stop_embedded)
    return edge.conductor


def stop_embedded() -> None:
    """Stop this process's conductor, if it has one; it finishes or hands back what it runs."""
    edge = _EDGES.get(os.getpid())
    if edge is not None and edge.conductor is not None:
        conductor, edge.conductor = edge.conductor, None
        conductor.stop()


def _edge(plugin: typing.Any, conf: cfg.ConfigOpts) -> tuple[Edge, bool]:
    """Return this process's edge, and whether the caller has to start it."""
    known = _EDGES.get(os.getpid())
    if known is not None:
        return known, False
    made = Edge(plugin, conf)
    edge = _EDGES.setdefault(made.pid, made)  # no lock: one held at a fork is held for ever
    return edge, edge is made


def _hint(workflow_ids: list[str]) -> None:
    """Follow a commit (``capture.calls.AFTER_COMMIT``): neither raise nor block."""
    edge = _EDGES.get(os.getpid())
    if edge is None:
        inherited = next(iter(_EDGES.values()))
        edge, new = _edge(inherited.plugin, inherited.conf)
        if new:
            thread = threading.Thread(target=_start_late, args=(edge,), daemon=True)
            thread.start()
    edge.hint(workflow_ids)


def _start_late(edge: Edge) -> None:
    try:
        edge.start()
    except errors.ConfigurationError as error:
        LOG.critical("This worker runs no workflows: %s", error)
