# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What Neutron's log objects ask for: plain values, read in one block each time they are needed."""

import collections
import dataclasses
import typing

from neutron.db.models import loggingapi
from neutron.db.models import securitygroup as group_models
from neutron.services.logapi.common import exceptions as log_exc
from neutron_lib.db import api as db_api
from neutron_lib.plugins import constants as plugin_constants
from neutron_lib.plugins import directory
from neutron_lib.services.logapi import constants as log_const

_LOG = loggingapi.Log
_BINDING = group_models.SecurityGroupPortBinding
_COLUMNS = (_LOG.id, _LOG.event, _LOG.enabled, _LOG.resource_id, _LOG.target_id)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Log:
    """One log object."""

    id: str
    event: str  #: ACCEPT, DROP or ALL
    enabled: bool = True
    groups: frozenset[str] | None = None
    """Ids of the security groups that it is about: the one it names, else those of the port it
    names, with or without a row. None: all groups, and what no group allows."""
    target_id: str = ""  #: the port that it names, if it names no group


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Logs:
    """All log objects, the oldest first."""

    all: tuple[Log, ...] = ()

    @property
    def enabled(self) -> tuple[Log, ...]:
        """Return those that ask for anything."""
        return tuple(log for log in self.all if log.enabled)

    def of_port(self, port_id: str) -> tuple[Log, ...]:
        """Return those that follow the groups of a port, disabled ones included."""
        return tuple(log for log in self.all if log.target_id == port_id)


def covered() -> bool:
    """Return whether this process has Neutron's logging plugin: without, ACLs keep what they say.

    Operators may log by hand then.
    """
    return directory.get_plugin(plugin_constants.LOG_API) is not None


def read(context: typing.Any) -> Logs | None:
    """Return every log object as it is now; None without the plugin. Two statements."""
    if not covered():
        return None
    with db_api.CONTEXT_READER.using(context):
        query = context.session.query(*_COLUMNS).filter_by(resource_type=log_const.SECURITY_GROUP)
        rows = query.order_by(_LOG.standard_attr_id).all()
        ports = {row.target_id for row in rows if row.target_id and not row.resource_id}
        groups: dict[str, set[str]] = collections.defaultdict(set)
        if ports:
            bindings = context.session.query(_BINDING.port_id, _BINDING.security_group_id)
            for port_id, group_id in bindings.filter(_BINDING.port_id.in_(ports)):
                groups[port_id].add(group_id)
    return Logs(all=tuple(_log(row, groups) for row in rows))


def _log(row: typing.Any, groups: typing.Mapping[str, typing.Collection[str]]) -> Log:
    target_id = "" if row.resource_id else row.target_id or ""
    about: frozenset[str] | None = None
    if row.resource_id:
        about = frozenset({row.resource_id})
    elif target_id:
        about = frozenset(groups.get(target_id, ()))
    return Log(
        id=row.id, event=row.event, enabled=bool(row.enabled), groups=about, target_id=target_id
    )


def read_log(context: typing.Any, log_id: str) -> tuple[Logs, Log]:
    """Return every log object, and the one with this id.

    :raises LogResourceNotFound: if Neutron has none, or no logging plugin.
    """
    logs = read(context) or Logs()
    found = next((log for log in logs.all if log.id == log_id), None)
    if found is None:
        raise log_exc.LogResourceNotFound(log_id=log_id)
    return logs, found


def stateful(context: typing.Any, group_ids: typing.Collection[str]) -> dict[str, bool]:
    """Return whether each of these security groups is stateful; those without a row are left out.

    One statement for a hundred.
    """
    found: dict[str, bool] = {}
    ids, model = sorted(group_ids), group_models.SecurityGroup
    with db_api.CONTEXT_READER.using(context):
        for start in range(0, len(ids), _CHUNK):
            query = context.session.query(model.id, model.stateful)
            found.update(query.filter(model.id.in_(ids[start : start + _CHUNK])).all())
    return found


#: Groups that are read at once.
_CHUNK = 100
