# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Binding that is left to a task: where an operator says that a driver's ``bind_port`` is slow.

ML2 asks its mechanism drivers one after the other, level by level. Here it stops before the first
deferred one whose turn it is. The port stays unbound, and a workflow is recorded that knows how far
the call came (``model.bindings``); its task asks on from there, and commits as ML2 does.

Stands in for ``Ml2Plugin._bind_port_if_needed`` in ``neutron/plugins/ml2/plugin.py`` and for
``bind_port`` of ``MechanismManager`` in ``managers.py``; with no driver deferred both are stock's.
"""

import collections.abc
import contextlib
import contextvars
import dataclasses
import logging
import typing

from neutron.objects import ports as port_objects
from neutron.plugins.ml2 import db as ml2_db
from neutron.plugins.ml2 import driver_context, managers, models
from neutron.plugins.ml2 import plugin as ml2_plugin
from neutron_lib import constants, exceptions
from neutron_lib.api.definitions import portbindings
from neutron_lib.db import api as db_api

from networking_workflow.capture import calls, changes, session, snapshots
from networking_workflow.journal import queued
from networking_workflow.model import bindings, errors, states

LOG = logging.getLogger(__name__)


class Deferred(Exception):
    """It is a deferred driver's turn to be asked; the call that binds ends here."""

    def __init__(self, deferral: bindings.Deferral) -> None:
        self.deferral = deferral
        super().__init__(f"The binding is left to a task of driver {deferral.driver}.")


class _Stop(BaseException):
    """Leaves ML2's loop over the drivers, which catches every Exception and asks the next one."""

    def __init__(self, error: Exception) -> None:
        self.error = error


@dataclasses.dataclass(slots=True)
class _Walk:
    """How ML2 is to ask its drivers, and how it came to where it is."""

    deferred: frozenset[str]
    rest: bindings.Deferral | None = None  #: ask on from there; None: stop at a deferred driver
    #: (segments offered, whether one driver was chosen) of each level
    offered: list[tuple[typing.Any, bool]] = dataclasses.field(default_factory=list)
    _asked: bool = False

    def enter(self, level: int, segments: typing.Any, *, chosen: bool) -> None:
        """Note what a level's drivers are offered."""
        del self.offered[level:]
        self.offered.append((segments, chosen))

    def ask(self, driver: typing.Any, context: typing.Any) -> None:
        """Let the driver bind that a task is for; stop before any other deferred one.

        :raises _Stop: with what it raised, or where it would have been asked.
        """
        if self.rest is None or self._asked or driver.name != self.rest.driver:
            raise _Stop(Deferred(self._deferral(driver.name, context)))
        self._asked = True
        try:
            driver.obj.bind_port(context)
        except Exception as error:  # not swallowed: ML2's loop would log it and ask the next driver
            raise _Stop(error) from error

    def _deferral(self, driver: str, context: typing.Any) -> bindings.Deferral:
        above = [(one.driver, one.segment_id) for one in context._binding_levels]
        host, vnic_type, profile = bindings.inputs(context._binding)
        levels = [
            bindings.Level(driver=name, segments=segments, segment_id=segment, chosen=chosen)
            for (name, segment), (segments, chosen) in zip(
                [*above, (driver, None)], self.offered, strict=True
            )
        ]
        return bindings.Deferral(
            host=host, vnic_type=vnic_type, profile=profile, levels=tuple(levels)
        )


class _DeferredDriver:
    """What ML2's loop sees of a deferred driver: its name, and an ``obj`` that asks or stops."""

    def __init__(self, extension: typing.Any, walk: _Walk) -> None:
        self.name, self.obj = extension.name, self
        self._extension, self._walk = extension, walk

    @property
    def connectivity(self) -> str:
        """Return the driver's own."""
        return str(self._extension.obj.connectivity)

    def bind_port(self, context: typing.Any) -> None:
        """Ask the driver, or stop."""
        self._walk.ask(self._extension, context)


#: How drivers are asked on this thread; None: as stock asks them.
_WALK: contextvars.ContextVar[_Walk | None] = contextvars.ContextVar("binding_walk", default=None)


@contextlib.contextmanager
def _walking(walk: _Walk | None) -> collections.abc.Iterator[None]:
    token = _WALK.set(walk)
    try:
        yield
    finally:
        _WALK.reset(token)


class DeferringMechanismManager(managers.MechanismManager):
    """ML2's manager, which may stop before a deferred driver, and ask on from there."""

    def create_port_precommit(self, context: typing.Any) -> None:
        """Call the drivers, and let the call know, when it binds, that it has made the port."""
        super().create_port_precommit(context)
        context.is_new = True

    def bind_port(self, context: typing.Any) -> None:
        """Ask the drivers, outside of any transaction.

        :raises Deferred: if it is a deferred driver's turn, in a call.
        :raises Exception: of any class, what a deferred driver raised in a task.
        """
        walk = _WALK.get()
        try:
            if walk is None or walk.rest is None:
                super().bind_port(context)
            else:
                self._bind_rest(context, walk, walk.rest)
        except _Stop as stop:
            raise stop.error from stop.error.__cause__

    def _bind_port_level(
        self,
        context: typing.Any,
        level: int,
        segments_to_bind: typing.Any,
        drivers: typing.Any = None,
        redoing_bottom: bool = False,
    ) -> typing.Any:
        walk = _WALK.get()
        if walk is not None:
            walk.enter(level, segments_to_bind, chosen=redoing_bottom)
            asked = self.ordered_mech_drivers if drivers is None else drivers
            drivers = [
                _DeferredDriver(one, walk) if one.name in walk.deferred else one for one in asked
            ]
        return super()._bind_port_level(context, level, segments_to_bind, drivers, redoing_bottom)

    def _bind_rest(self, context: typing.Any, walk: _Walk, rest: bindings.Deferral) -> None:
        """Ask who has not been asked: at the last level from the deferred driver on, then above."""
        context._clear_binding_levels()
        _push_levels(context, [(level.driver, level.segment_id) for level in rest.levels[:-1]])
        last = len(rest.levels) - 1
        for number, level in enumerate(rest.levels):
            walk.enter(number, level.segments, chosen=level.chosen)
        for number, level in reversed(list(enumerate(rest.levels))):
            if number != last:
                context._pop_binding_level()
            left = self._left(level, itself=number == last)
            if left and self._bind_port_level(context, number, level.segments, left, level.chosen):
                return
        context._binding.vif_type = portbindings.VIF_TYPE_BINDING_FAILED

    def _left(self, level: bindings.Level, *, itself: bool) -> list[typing.Any]:
        """Return the drivers that come after the level's own, and itself where it is asked yet."""
        ordered = list(self.ordered_mech_drivers)
        places = [place for place, one in enumerate(ordered) if one.name == level.driver]
        if not places:
            return []  # it is configured no more, and who came after it is not known
        (place,) = places
        own = [ordered[place]] if itself else []
        return own if level.chosen else [*own, *ordered[place + 1 :]]


class DeferringMl2Plugin(ml2_plugin.Ml2Plugin):
    """ML2, whose calls leave a binding to a task where a driver is deferred."""

    #: Aliases of the mechanism drivers that no call asks to bind.
    deferred_binding: frozenset[str] = frozenset()

    def _bind_port_if_needed(
        self,
        context: typing.Any,
        allow_notify: bool = False,
        need_notify: bool = False,
        allow_commit: bool = True,
    ) -> typing.Any:
        how = (allow_notify, need_notify, allow_commit)
        # What is not committed is an inactive binding: its caller needs the answer, as does a live
        # migration, and there is no port that could say that it is pending.
        if not (self.deferred_binding and allow_commit and self._may_be_left(context)):
            with _walking(None):
                return super()._bind_port_if_needed(context, *how)
        if not self._is_left(context):
            try:
                with _walking(_Walk(self.deferred_binding)):
                    return super()._bind_port_if_needed(context, *how)
            except Deferred as deferred:
                self._leave(context, deferred.deferral)
        if allow_notify and need_notify:
            self._notify_port_updated(context)  # of a port that is not bound it tells nobody
        return context

    def _may_be_left(self, context: typing.Any) -> bool:
        """Return whether there is something to bind, and a place that says that it is pending."""
        distributed = context.current["device_owner"] == constants.DEVICE_OWNER_DVR_INTERFACE
        return bool(
            self._should_bind_port(context) and context.network.network_segments and not distributed
        )

    def _is_left(self, context: typing.Any) -> bool:
        """Return whether a task has bound the port already, or is going to: nobody is asked again.

        In the first case the context becomes that of the bound port. In the second the newest
        workflow of the driver's lane carries the binding: how an older one ends says nothing of the
        port any more, and what it is told it may throw away, if the port was elsewhere meanwhile.
        """
        if getattr(context, "is_new", False):
            return False  # nobody else knows of the port yet
        wanted = bindings.inputs(context._binding)
        with db_api.CONTEXT_READER.using(context.plugin_context) as reader:
            port_id = context.current["id"]
            row = _active_binding(reader, port_id)
            if row is None or bindings.inputs(row) != wanted:
                return False
            if row.vif_type not in portbindings.VIF_UNPLUGGED_TYPES:
                context._binding = driver_context.InstanceSnapshot(row)
                context._binding_levels = ml2_db.get_binding_level_objs(
                    context.plugin_context, port_id, row.host
                )
                self._update_port_dict_binding(context.current, row)
                return True
            unfinished = queued.of(reader.connection(), "port", port_id)
        left = _left_to(unfinished, context._binding)
        if left is None:
            return False
        deferral, is_carried = left
        if not is_carried:
            self._leave(context, deferral)
        return True

    def _leave(self, context: typing.Any, deferral: bindings.Deferral) -> None:
        """Record a workflow that binds the port, unless what it is bound for has changed."""
        record: typing.Callable[..., None] = db_api.retry_db_errors(self._record_deferral)
        record(context, deferral)

    @staticmethod
    def _record_deferral(context: typing.Any, deferral: bindings.Deferral) -> None:
        port_id = context.current["id"]
        with db_api.CONTEXT_WRITER.using(context.plugin_context) as writer:
            row = _active_binding(writer, port_id)
            if row is None or not deferral.is_for(row):
                return
            if row.vif_type not in portbindings.VIF_UNPLUGGED_TYPES:
                return
            # It may have failed before.
            row.vif_type, row.vif_details = portbindings.VIF_TYPE_UNBOUND, ""
            edge = changes.Edge(
                resource_type="port",
                resource_id=port_id,
                extras=snapshots.frozen({bindings.EDGE: deferral.to_json()}),
            )
            note = changes.Note(
                resource_type="port", resource_id=port_id, operation=states.Operation.UPDATE
            )
            session.add_note(writer, note)
            session.add_edge(writer, edge)

    def bind_deferred(
        self,
        plugin_context: typing.Any,
        port_id: str,
        deferral: bindings.Deferral,
        *,
        followed: bool,
    ) -> None:
        """Ask the drivers that are left, and commit what they say; in a task.

        Does nothing if the port is gone or bound, or has been given something else to bind for.

        :param followed: the workflow's own further tasks read the bound port; a child is opened
            otherwise.
        :raises PermanentFailure: if none of them binds it; see :meth:`give_binding_up`.
        :raises Exception: of any class, what the deferred driver raised.
        """
        context = self._context_to_bind(plugin_context, port_id, deferral)
        if context is None:
            return
        walk = _Walk(self.deferred_binding | {deferral.driver}, rest=deferral)
        try:
            with _walking(walk):
                bound = self._bind_port(context)
        except Deferred as deferred:
            # A task of its own, so that no failure of the next one makes this one's be repeated.
            self._leave(context, deferred.deferral)
            return
        if bound.vif_type == portbindings.VIF_TYPE_BINDING_FAILED:
            raise errors.PermanentFailure(
                f"No mechanism driver bound port {port_id} to host {deferral.host} "
                f"(vnic_type {deferral.vnic_type})."
            )
        self._commit_deferred(context, bound, followed=followed)

    def give_binding_up(
        self, plugin_context: typing.Any, port_id: str, deferral: bindings.Deferral
    ) -> None:
        """Let the port say that its binding failed.

        That opens no child, whose success would say that the port is in sync: those that come after
        this task read it, those that came before see it with the next change.
        """
        context = self._context_to_bind(plugin_context, port_id, deferral)
        if context is not None:
            context._binding.vif_type = portbindings.VIF_TYPE_BINDING_FAILED
            self._commit_deferred(context, context, followed=True)

    def _commit_deferred(self, context: typing.Any, bound: typing.Any, *, followed: bool) -> None:
        """Commit; what the database wants to have repeated is, for the drivers have answered."""
        levels = [(level.driver, level.segment_id) for level in bound._binding_levels]

        def commit() -> typing.Any:
            bound._clear_binding_levels()
            _push_levels(bound, levels)  # new ones: such an object can be made a row of once
            return self._commit_port_binding(context, bound, need_notify=True)

        repeated: typing.Callable[[], typing.Any] = db_api.retry_db_errors(commit)
        with calls.following() if followed else contextlib.nullcontext():
            committed, _, stale = repeated()
        if not stale:
            self._notify_port_updated(committed)

    def _context_to_bind(
        self, plugin_context: typing.Any, port_id: str, deferral: bindings.Deferral
    ) -> typing.Any:
        """Return the context of a port that this binding is for; None: there is nothing to bind."""
        with db_api.CONTEXT_READER.using(plugin_context) as reader:
            try:
                port = self._make_port_dict(self._get_port(plugin_context, port_id))
            except exceptions.PortNotFound:
                return None
            row = _active_binding(reader, port_id)
            if row is None or not deferral.is_for(row):
                return None
            network = self.get_network(plugin_context, port["network_id"])
            context = driver_context.PortContext(self, plugin_context, port, network, row, None)
        return context if self._should_bind_port(context) else None


def _active_binding(reader: typing.Any, port_id: str) -> typing.Any:
    found = reader.query(models.PortBinding).filter_by(port_id=port_id, status=constants.ACTIVE)
    return found.first()


def _left_to(
    unfinished: typing.Sequence[queued.Queued], binding: typing.Any
) -> tuple[bindings.Deferral, bool] | None:
    """Return what a task is going to bind a port for, if that is what the port asks for now.

    And whether the newest workflow of its driver's lane carries it, and is still to run. A copy in
    another lane has no such task. The last one found counts: it came furthest.
    """
    found: tuple[bindings.Deferral, bool] | None = None
    for one in unfinished:
        deferral = bindings.of(one.snapshot)
        if deferral is None or not deferral.is_for(binding):
            continue
        if session.lane_of(deferral.driver) == one.lane:
            newest = [other for other in unfinished if other.lane == one.lane][-1]
            found = deferral, newest is one and not one.is_claimed
    return found


def _push_levels(context: typing.Any, levels: typing.Iterable[tuple[str, typing.Any]]) -> None:
    """Let a context have these levels, (driver, segment) each, the outermost first."""
    for number, (driver, segment_id) in enumerate(levels):
        context._push_binding_level(
            port_objects.PortBindingLevel(
                context.plugin_context,
                port_id=context.current["id"],
                host=context.host,
                level=number,
                driver=driver,
                segment_id=segment_id,
            )
        )
