# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The session's listeners: from a flush to rows of the journal, in the same transaction.

What happens when, each measured on SQLAlchemy 2.1 and oslo.db 18.1:

- ``after_begin``: the request's context is in ``session.info``; at the commit it no longer is. A
  transaction whose first statement is its last flush has it at ``after_attach`` only.
- ``before_flush``: a deleted object is complete; its API dict is made here.
- ``after_flush``: histories are still there, and the unit of work knows what the session's own
  lists lack (orphans of collections). Rows become notes.
- ``before_commit``, outermost: a last flush, then the workflows and their keys as the last
  statements before COMMIT. Nothing is locked after the keys, so they follow the commit order. A
  call's idempotency key comes before them.
- ``after_commit``: whoever waits for work is told. A retried call told nobody of its first attempt.
  A port's call that may bind it tells once, at its end.

A savepoint that is rolled back takes its notes along.
"""

import dataclasses
import datetime
import logging
import typing

from neutron_lib.plugins import directory
from sqlalchemy import event, orm

from networking_workflow.capture import (
    calls,
    changes,
    classes,
    idempotency,
    images,
    looking,
    rows,
    snapshots,
    workflows,
)
from networking_workflow.journal import clock, failpoints, fence, record
from networking_workflow.model import errors
from networking_workflow.model import keys as model_keys
from networking_workflow.model import running as model_running
from networking_workflow.model import workflows as model_workflows

LOG = logging.getLogger(__name__)

_INFO = "networking_workflow_transaction"
_FLUSHES = 100  #: SQLAlchemy's own limit for listeners that make a session dirty again


class UncapturedChange(errors.WorkflowError):
    """A bulk statement changed a table of the class map without a flush."""

    def __init__(self, table: str) -> None:
        self.table = table
        super().__init__(
            f"A bulk UPDATE or DELETE of table {table} went past the session's flush: no workflow "
            "was recorded for it, so no backend will follow. Change the rows one by one."
        )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class CaptureSettings:
    """How capture behaves."""

    lanes: tuple[workflows.Lane, ...] = ()  #: none: the default one
    bulk_raises: bool = False  #: raise on an uncaptured bulk statement instead of logging it
    tasks_write: bool = True  #: False: a task that writes one of Neutron's tables is refused


@dataclasses.dataclass(slots=True)
class _Transaction:
    """What one outermost transaction of one session has collected so far."""

    context: typing.Any = None
    collected: list[changes.Collected] = dataclasses.field(default_factory=list)
    deleted: dict[changes.Reference, dict[str, typing.Any]] = dataclasses.field(
        default_factory=dict
    )
    #: length of ``collected`` when each savepoint began
    marks: dict[typing.Any, int] = dataclasses.field(default_factory=dict)
    recorded: list[str] = dataclasses.field(default_factory=list)
    gens: dict[str, int] = dataclasses.field(default_factory=dict)  #: of each own key, as recorded
    recorded_at: datetime.datetime | None = None
    posted: tuple[str, ...] | None = None  #: written under the call's idempotency key


def _of(session: typing.Any) -> _Transaction:
    transaction: _Transaction = session.info.setdefault(_INFO, _Transaction())
    return transaction


def _note_context(session: typing.Any) -> None:
    """Keep the request's context, if the session has one now."""
    current = _of(session)
    if current.context is None:
        current.context = session.info.get("using_context")


def add_edge(session: typing.Any, edge: changes.Edge) -> None:
    """Keep what ML2 knows of a resource until the session's transaction is recorded."""
    _of(session).collected.append(edge)


def add_note(session: typing.Any, note: changes.Note) -> None:
    """Have a workflow recorded with the session's transaction for what no row of it tells."""
    _note_context(session)
    _of(session).collected.append(note)


class Capture:
    """The listeners with their settings; one instance a process."""

    def __init__(self, settings: CaptureSettings) -> None:
        self.settings = settings
        self._listeners: dict[str, typing.Callable[..., None]] = {
            "after_begin": self.after_begin,
            "after_attach": self.after_attach,
            "after_transaction_create": self.after_transaction_create,
            "after_transaction_end": self.after_transaction_end,
            "after_soft_rollback": self.after_soft_rollback,
            "before_flush": self.before_flush,
            "after_flush": self.after_flush,
            "after_bulk_update": self.after_bulk,
            "after_bulk_delete": self.after_bulk,
            "before_commit": self.before_commit,
            "after_commit": self.after_commit,
        }

    def listen(self) -> None:
        """Listen to every session of the process."""
        for name, listener in self._listeners.items():
            event.listen(orm.Session, name, listener)

    def remove(self) -> None:
        """Stop listening."""
        for name, listener in self._listeners.items():
            event.remove(orm.Session, name, listener)

    def after_begin(self, session: typing.Any, transaction: typing.Any, conn: typing.Any) -> None:
        """Note the request's context; oslo.db takes it away before the commit."""
        if not transaction.nested:
            _note_context(session)
            images.begin(session, conn)
            if not self.settings.tasks_write and model_running.RUNNING.get() is not None:
                looking.refuse_writes(conn)

    def after_attach(self, session: typing.Any, _row: typing.Any) -> None:
        """Note the context where a row of an earlier transaction is changed without a statement.

        ``L3_NAT_dbonly_mixin._delete_router_gw_port_db`` in ``neutron/db/l3_db.py`` does.
        """
        if session.in_transaction():
            _note_context(session)

    def after_transaction_create(self, session: typing.Any, transaction: typing.Any) -> None:
        """Remember where a savepoint begins."""
        if transaction.nested:
            current = _of(session)
            current.marks[transaction] = len(current.collected)

    def after_soft_rollback(self, session: typing.Any, transaction: typing.Any) -> None:
        """Forget what a savepoint collected."""
        current: _Transaction | None = session.info.get(_INFO)
        if current is not None and transaction in current.marks:
            del current.collected[current.marks[transaction] :]

    def after_transaction_end(self, session: typing.Any, transaction: typing.Any) -> None:
        """Forget all of the outermost transaction, however it ended.

        A savepoint's mark stays: its own end comes before its ``after_soft_rollback``.
        """
        if transaction.parent is None:
            session.info.pop(_INFO, None)
            images.end(session)

    def before_flush(self, session: typing.Any, _flush: typing.Any, _instances: typing.Any) -> None:
        """Make the API dicts of what this flush deletes."""
        images.before_flush(session)
        if not session.deleted:
            return
        current = _of(session)
        plugin = directory.get_plugin()
        if current.context is None or plugin is None:
            return
        for row in session.deleted:
            entry = classes.ITSELF.get(row.__table__.name)
            if entry is None or entry.kind not in classes.COVERED:
                continue
            api = snapshots.of_deleted(plugin, current.context, entry.kind, row)
            if api is not None:
                current.deleted[entry.kind, api["id"]] = api

    def after_flush(self, session: typing.Any, flush: typing.Any) -> None:
        """Turn each row that the flush really changed into notes."""
        images.after_flush(session, flush)
        current = _of(session)
        for state, (is_delete, list_only) in list(flush.states.items()):
            if not list_only:
                current.collected.extend(rows.notes_of(state, is_delete, current.deleted))
        current.collected.extend(idempotency.posted(flush))

    def after_bulk(self, bulk: typing.Any) -> None:
        """Raise the alarm if a bulk statement changed a table whose changes are workflows.

        :raises UncapturedChange: if the settings say so.
        """
        table = bulk.mapper.local_table.name
        entry = classes.ITSELF.get(table) or classes.CHILD.get(table)
        if entry is None or entry.kind not in classes.COVERED:
            return
        error = UncapturedChange(table)
        LOG.error("%s", error)
        if self.settings.bulk_raises:
            raise error

    def before_commit(self, session: typing.Any) -> None:
        """Record the transaction's workflows as its last statements.

        :raises LeaseLost: inside a task whose workflow has another owner by now.
        :raises KeyTaken: if another call has committed under the idempotency key of this one.
        """
        if session.in_nested_transaction():
            return
        _flush_until_clean(session)
        images.before_commit(session)
        current: _Transaction | None = session.info.get(_INFO)
        if current is None or current.recorded or current.posted is not None:
            return
        running = model_running.RUNNING.get()
        if running is not None:
            fence.check_fence(session.connection(), running.claim)
        if not current.collected:
            return
        origin = workflows.Origin.of(current.context, running)
        connection = session.connection()
        # Before the workflows' keys: who waits here for another call holds none of them.
        current.posted = idempotency.write(connection, current.collected, origin.operation_id)
        new = workflows.build(connection, current.collected, origin, self.settings.lanes)
        if running is not None and calls.is_followed():
            new = [one for one in new if not _is_of_task(one, running.claim)]
        if new:
            current.recorded_at = clock.local()
            current.gens = record.record(connection, new, current.recorded_at)
            current.recorded = [workflow.id for workflow in new]

    def after_commit(self, session: typing.Any) -> None:
        """Tell who waits for work, and the request that is being answered."""
        current: _Transaction | None = session.info.get(_INFO)
        if session.in_nested_transaction():
            return
        images.after_commit(session, current.gens if current else {})
        if current is None:
            return
        idempotency.committed(current.posted)
        if not current.recorded:
            return
        failpoints.failpoint("capture.committed")
        ids, current.recorded = current.recorded, []
        calls.committed(ids, current.recorded_at)


def _is_of_task(workflow: model_workflows.NewWorkflow, claim: model_workflows.Claim) -> bool:
    own = (claim.lane, claim.resource_type, claim.resource_id)
    return (workflow.lane, workflow.resource_type, workflow.resource_id) == own


def _flush_until_clean(session: typing.Any) -> None:
    """Flush until nothing is left: a flush after the keys would lock rows behind them."""
    for _ in range(_FLUSHES):
        if not (session.new or session.dirty or session.deleted):
            return
        session.flush()


_CURRENT: list[Capture] = []


def install(settings: CaptureSettings | None = None) -> Capture:
    """Capture the changes of every session of this process; a second call changes the settings."""
    settings = settings or CaptureSettings()
    if _CURRENT:
        _CURRENT[0].settings = settings
    else:
        _CURRENT.append(Capture(settings))
        _CURRENT[0].listen()
    return _CURRENT[0]


def lane_of(driver: str) -> str:
    """Return the lane of a driver."""
    return next((one.name for one in _lanes() if driver in one.drivers), model_keys.DEFAULT_LANE)


def drivers_for(lane: str, resource_type: str) -> list[str]:
    """Return the drivers of a lane that may have work for a resource of this type, in order."""
    found = [one.knowing(resource_type) for one in _lanes() if one.name == lane]
    return found[0] if found else []


def _lanes() -> tuple[workflows.Lane, ...]:
    return _CURRENT[0].settings.lanes if _CURRENT else ()


def uninstall() -> None:
    """Stop capturing; what is already recorded stays."""
    while _CURRENT:
        _CURRENT.pop().remove()
