# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Undoing a call: the rows that it changed hold again what they held before.

One transaction, of which capture makes workflows as of any other: the backends follow through the
same ordered queue, and the failed workflows of the call are REVERTED. All or nothing: if anything
that the call changed was changed again since, everything stays as it is, and who asked is told why.

Rows are made, changed and deleted through the models, without Neutron's ``__init__`` of these:
each gets exactly the columns that it had. Only ``revision_number`` and ``updated_at`` go on: they
say that something happened. And a port whose binding goes back is ``DOWN``, as ML2 has it whenever
a binding changes: its backend has to say anew that it is up. Neutron's callbacks are not called:
what it tells agents and Nova of the call is not taken back.
"""

import dataclasses
import functools
import itertools
import logging
import typing

import sqlalchemy as sa
from neutron.db import models_v2
from neutron.plugins.ml2 import models
from neutron_lib import constants, exceptions
from neutron_lib.api.definitions import portbindings
from neutron_lib.db import api as db_api
from neutron_lib.db import model_base, standard_attr
from neutron_lib.plugins import directory
from oslo_db import api as oslo_db_api
from oslo_db import exception as db_exc
from sqlalchemy import orm

from networking_workflow.capture import calls, classes, edges, images, restorable, rows, schema
from networking_workflow.drivers import ml2
from networking_workflow.journal import reverts

LOG = logging.getLogger(__name__)

#: What others write at any time, or count by themselves.
LEFT = frozenset(
    {
        *("agents", "dvr_host_macs", "ha_router_agent_port_bindings", "ovn_hash_ring"),
        *("ovn_revision_numbers", "provisioningblocks", "segmenthostmappings"),
        *("network_subnet_lock", "quotausages", "reservations", "resourcedeltas"),
    }
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Restored:
    """What has become of the changes of a call."""

    done: bool
    why_not: str = ""  #: in words a tenant may read
    workflow_ids: tuple[str, ...] = ()  #: that bring the backends back


def restore(context: typing.Any, call: images.Images, workflow_ids: list[str]) -> Restored:
    """Undo what a call has committed, unless something that it changed was changed since.

    :param context: the request's, whose ``request_id`` the call's workflows have.
    :param workflow_ids: those that the call opened.
    """
    with calls.committed_ids() as ids:
        try:
            _retried(lambda: _restore(context, call, workflow_ids))
        except restorable.CannotRestore as error:
            return Restored(done=False, why_not=str(error))
        except (db_exc.DBReferenceError, db_exc.DBDuplicateEntry):
            why = "Something else relies on what this call made, or has taken the place of what it"
            return Restored(done=False, why_not=f"{why} took away; all stays.")
        except (db_exc.DBError, sa.exc.SQLAlchemyError) as error:
            LOG.warning("What a call changed cannot be undone: %s", error)
            why = "The database could not do it; what it changed stays."
            return Restored(done=False, why_not=why)
        _bind_anew(context, call)
    return Restored(done=True, workflow_ids=tuple(ids))


def _retried(do: typing.Callable[[], None]) -> None:
    """Repeat after a deadlock; a duplicate, which Neutron's own decorator repeats, stays one."""
    oslo_db_api.wrap_db_retry(
        max_retries=10,
        retry_interval=0.1,
        retry_on_deadlock=True,
        exception_checker=lambda error: isinstance(error, orm.exc.StaleDataError),
    )(do)()


def _restore(context: typing.Any, call: images.Images, workflow_ids: list[str]) -> None:
    changed = _in_order({n: row for n, row in call.rows.items() if n.table not in LEFT})
    elevated = context.elevated()
    with db_api.CONTEXT_WRITER.using(elevated) as writer:
        connection = writer.connection()
        # Everything is locked before the first plain read: the snapshot of that is newer. Rows
        # first and keys last, as every other transaction does.
        left = [name for name, row in changed.items() if row.after is not None]
        found = schema.read(connection, left, lock=True)
        later = reverts.later_change(connection, call.gens, context.request_id, set(workflow_ids))
        if later is not None:
            raise restorable.changed_by(context, later)
        found |= schema.read(connection, changed.keys() - set(left))
        of_task = {name for name in changed if _is_level_of_task(name, changed)}
        for name, row in changed.items():
            if name not in of_task:
                restorable.check(name, row, found.get(name))
        restorable.check_clashes(connection, changed, found)
        restorable.check_dependents(connection, changed)
        _keep_edges(elevated, writer, changed, found)
        _drop_levels(writer, changed)
        for name in of_task:
            found.pop(name, None)
        _put_back(writer, changed, found)
        _say_down(writer, changed)
        reverts.reverted(writer.connection(), workflow_ids)


def _bind_anew(context: typing.Any, call: images.Images) -> None:
    """Ask for the bindings that tasks were to make before the call: it has taken their place."""
    plugin = directory.get_plugin()
    if not getattr(plugin, "deferred_binding", None):
        return
    waited = [
        row.before
        for name, row in call.rows.items()
        if name.table == models.PortBinding.__tablename__ and row.before is not None
    ]
    for binding in waited:
        if binding["vif_type"] == portbindings.VIF_TYPE_UNBOUND and binding["host"]:
            try:
                plugin.get_bound_port_context(context.elevated(), binding["port_id"])
            except (exceptions.MultipleExceptions, exceptions.NeutronException) as error:
                LOG.warning("Port %s stays unbound: %s", binding["port_id"], error)


def _in_order(rows: dict[schema.RowName, images.Image]) -> dict[schema.RowName, images.Image]:
    """Sort rows: the referred ones come first."""
    order = {table: place for place, table in enumerate(schema.tables())}
    return dict(sorted(rows.items(), key=lambda row: order[row[0].table]))


def _keep_edges(
    context: typing.Any,
    writer: typing.Any,
    changed: typing.Mapping[schema.RowName, images.Image],
    found: typing.Container[schema.RowName],
) -> None:
    """Keep what ML2 keeps of what it deletes or binds anew: a failed task may have left it there.

    :param context: the one whose session ``writer`` is.
    """
    gone = {
        name.key[0]
        for name in changed
        if name.table == models_v2.Port.__tablename__ and name not in found
    }
    kept = {("port", port_id): False for port_id in _rebound(changed) - gone}
    tables = {classes.TABLE_OF[kind]: kind for kind in ml2.RESOURCE_TYPES}
    kept |= {
        (tables[name.table], name.key[0]): True
        for name, row in changed.items()
        if name.table in tables and row.before is None and name in found
    }
    plugin = directory.get_plugin()
    for (kind, resource_id), is_deleted in kept.items():
        edges.keep_present(plugin, context, kind, resource_id, delete=is_deleted)
    writer.expire_all()  # so that nothing is remembered of rows that are about to change


def _rebound(changed: typing.Mapping[schema.RowName, images.Image]) -> set[str]:
    """Return the ports whose binding goes back, those that come back bound among them."""
    table = models.PortBinding.__tablename__
    return {
        name.key[0] for name, row in changed.items() if name.table == table and _is_rebound(row)
    }


def _is_rebound(row: images.Image) -> bool:
    """Return whether the active binding of a port is another, once this row is put back."""
    values = [each for each in (row.before, row.after) if each is not None]
    if not any(each["status"] == constants.ACTIVE for each in values):
        return False
    if row.after is None:
        return bool(values[0]["vif_type"] not in portbindings.VIF_UNPLUGGED_TYPES)
    return bool(row.changed)


def _put_back(
    writer: typing.Any,
    changed: typing.Mapping[schema.RowName, images.Image],
    found: typing.Mapping[schema.RowName, schema.Values],
) -> None:
    """Make, change and delete rows: the referred ones are made first, and deleted last."""
    names = list(changed)
    for _, of_table in itertools.groupby(names, key=lambda name: name.table):
        for name in of_table:
            before = changed[name].before
            if name not in found and before is not None:
                writer.add(_made(writer, name.table, before))
        _write(writer)
    for name in names:
        if name in found and changed[name].before is not None:
            _set(writer, name, changed[name], found[name])
    _write(writer)
    for _, of_table in itertools.groupby(reversed(names), key=lambda name: name.table):
        for name in of_table:
            if changed[name].before is None and name in found:
                gone = _get(writer, name)
                if gone is not None:  # a parent's deletion may have taken it along
                    writer.delete(gone)
        _write(writer)


def _is_left_to_task(name: schema.RowName, row: images.Image) -> bool:
    """Return whether a row is a binding that the call left unbound.

    How it is bound now, and its levels, are then what the call's own task has made of it.
    """
    is_binding = name.table == models.PortBinding.__tablename__
    return (
        is_binding
        and row.after is not None
        and row.after["vif_type"] in portbindings.VIF_UNPLUGGED_TYPES
    )


def _is_level_of_task(
    name: schema.RowName, changed: typing.Mapping[schema.RowName, images.Image]
) -> bool:
    """Return whether a row that the call deleted is a level of a binding that it left unbound."""
    level = changed[name].before
    if name.table != models.PortBindingLevel.__tablename__ or level is None:
        return False
    binding = schema.name_of(models.PortBinding.__table__, level)
    return binding in changed and _is_left_to_task(binding, changed[binding])


def _drop_levels(writer: typing.Any, changed: typing.Mapping[schema.RowName, images.Image]) -> None:
    """Delete the levels that a task gave to bindings which the call left unbound."""
    for name, row in changed.items():
        if row.after is not None and _is_left_to_task(name, row):
            place = {"port_id": row.after["port_id"], "host": row.after["host"]}
            for level in writer.query(models.PortBindingLevel).filter_by(**place):
                writer.delete(level)
    _write(writer)


def _say_down(writer: typing.Any, changed: typing.Mapping[schema.RowName, images.Image]) -> None:
    """Let ports whose binding went back be DOWN, as ``_process_port_binding`` of ML2 does."""
    for port_id in sorted(_rebound(changed)):
        port = writer.get(models_v2.Port, port_id)
        if port is not None:  # it was made by the call
            port.status = constants.PORT_STATUS_DOWN
    _write(writer)


def _write(writer: typing.Any) -> None:
    """Flush, and let nothing be remembered of rows that changed behind the session's back."""
    if writer.new or writer.dirty or writer.deleted:
        writer.flush()
        writer.expire_all()


@functools.cache
def _mappers() -> dict[str, typing.Any]:
    """Return the mapper of each table."""
    found: dict[str, typing.Any] = {}
    for mapper in model_base.BASEV2.registry.mappers:
        found.setdefault(mapper.local_table.name, mapper)
    return found


def _get(writer: typing.Any, name: schema.RowName) -> typing.Any:
    return writer.get(_mappers()[name.table].class_, name.key)


def _made(writer: typing.Any, table: str, values: schema.Values) -> typing.Any:
    """Return an object that makes a row as it was; ``__init__`` would make others beside it."""
    mapper = _mappers()[table]
    made = mapper.class_manager.new_instance()
    if "standard_attr" in mapper.relationships:  # Neutron writes through it while it flushes
        made.standard_attr = writer.get(standard_attr.StandardAttribute, values["standard_attr_id"])
    for column, attribute in rows.attributes(mapper).items():
        raised = column == "revision_number" and values[column] is not None
        setattr(made, attribute, values[column] + 1 if raised else values[column])
    return made


def _set(writer: typing.Any, name: schema.RowName, row: images.Image, now: schema.Values) -> None:
    assert row.before is not None
    assert row.after is not None
    columns = [
        column
        for column in row.changed
        if now[column] == row.after[column] or column in images.MOVED_BY_TASKS
    ]
    if _is_left_to_task(name, row):
        columns += images.MOVED_BY_TASKS
    if not columns:  # or none but a status that a backend has moved since
        return
    mapper = _mappers()[name.table]
    kept = _get(writer, name)
    attributes = rows.attributes(mapper)
    for column in columns:
        setattr(kept, attributes[column], row.before[column])
