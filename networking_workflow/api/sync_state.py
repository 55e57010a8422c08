# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``sync_state`` on networks, routers and the rest: does the backend hold what is shown?

It comes with the resource's StandardAttribute, as one column that a subquery fills: no list costs a
statement more, and the many reads of one API call next to nothing. A join of the journal's row made
creating a port a tenth slower: Neutron reads dozens of standard attributes meanwhile.
"""

import collections.abc
import datetime
import typing

import sqlalchemy as sa
from neutron.db import models_v2
from neutron.db.models import address_group as address_group_models
from neutron.db.models import l3 as l3_models
from neutron.db.models import securitygroup as security_group_models
from neutron.db.qos import models as qos_models
from neutron.objects import address_group as address_group_objects
from neutron.objects import router as router_objects
from neutron.objects import securitygroup as security_group_objects
from neutron.objects import subnet as subnet_objects
from neutron.objects import trunk as trunk_objects
from neutron.objects.qos import policy as policy_objects
from neutron.services.trunk import models as trunk_models
from neutron_lib.db import model_query, resource_extend, standard_attr
from neutron_lib.plugins import constants, directory
from sqlalchemy import event, orm
from sqlalchemy.orm import attributes as orm_attributes

from networking_workflow.api import fields
from networking_workflow.journal import tables
from networking_workflow.model import states

_SYNC = tables.resource_sync.c

#: The resources that show it: the class of their rows by collection.
MODELS: dict[str, type[typing.Any]] = {
    "networks": models_v2.Network,
    "subnets": models_v2.Subnet,
    "ports": models_v2.Port,
    "security_groups": security_group_models.SecurityGroup,
    "security_group_rules": security_group_models.SecurityGroupRule,
    "address_groups": address_group_models.AddressGroup,
    "routers": l3_models.Router,
    "floatingips": l3_models.FloatingIP,
    "policies": qos_models.QosPolicy,
    "trunks": trunk_models.Trunk,
}

#: collection -> service plugin that has it; the core plugin has the others.
SERVICES: dict[str, str] = {
    "routers": constants.L3,
    "floatingips": constants.L3,
    "policies": constants.QOS,
    "trunks": "trunk",
}

ATTRIBUTES: dict[str, fields.Attribute] = {
    "sync_state": fields.shown(is_filter=True, convert_to=fields.one_of(states.SyncState)),
    "sync_error": fields.shown(),
    "sync_updated_at": fields.shown(),
}

#: Classes whose lists refuse filters that they have not been told of.
_OBJECTS = (
    subnet_objects.Subnet,
    security_group_objects.SecurityGroup,
    security_group_objects.SecurityGroupRule,
    address_group_objects.AddressGroup,
    router_objects.FloatingIP,
    policy_objects.QosPolicy,
    trunk_objects.Trunk,
)

#: The worst comes first: a resource shows the worst of its lanes.
_ORDER = list(reversed(states.SyncState))

#: One character of each state, in that order.
RANKS: dict[states.SyncState, str] = {state: str(rank) for rank, state in enumerate(_ORDER)}


def _constant(text: str) -> sa.ColumnElement[str]:
    """Return a text that is part of the statement: it is in every one that Neutron sends."""
    return sa.literal_column(f"'{text}'", sa.String)


#: Of a row of the journal.
RANK = sa.case(
    *((_SYNC.sync_state == _constant(state), _constant(rank)) for state, rank in RANKS.items())
)


def _of_group(rule: typing.Any) -> sa.ColumnElement[bool]:
    """Find the rows of a rule's group: one that was made together with it has none of its own."""
    group = security_group_models.SecurityGroup
    owner = sa.select(group.standard_attr_id).where(group.id == rule.security_group_id)
    return _SYNC.standard_attr_id == owner.correlate(rule).scalar_subquery()


def install() -> None:
    """Let Neutron's rows bring their state along, extend the answers and the filters.

    A second call changes nothing.
    """
    if not hasattr(standard_attr.StandardAttribute, "workflow_sync"):
        attribute, rule = standard_attr.StandardAttribute, security_group_models.SecurityGroupRule
        _bring(attribute, "workflow_sync", _SYNC.standard_attr_id == attribute.id)
        _bring(rule, "workflow_group_sync", _of_group(rule))
        for object_class in _OBJECTS:
            object_class.add_extra_filter_name("sync_state")
    # Neutron's own tests forget what is registered, each time; classes stay extended.
    for collection, model in MODELS.items():
        resource_extend.register_funcs(collection, [extend])
        model_query.register_hook(
            model,
            "workflow_sync_state",
            query_hook=None,
            filter_hook=None,
            result_filters=_FILTERS[collection],
        )


def gained() -> dict[str, dict[str, fields.Attribute]]:
    """Return the attributes that each collection gains which this process serves."""
    return {
        collection: dict(ATTRIBUTES)
        for collection in MODELS
        if collection not in SERVICES or directory.get_plugin(SERVICES[collection])
    }


def _bring(model: type[typing.Any], name: str, criterion: sa.ColumnElement[bool]) -> None:
    """Give a class of Neutron's the worst of the packed states that ``criterion`` finds."""
    packed = sa.select(_PACKED).where(criterion).correlate(model).scalar_subquery()
    setattr(model, name, orm.column_property(packed, expire_on_flush=False))

    def no_row_yet(target: typing.Any, _args: typing.Any, _kwargs: typing.Any) -> None:
        # Otherwise each new row would ask with a statement.
        orm_attributes.set_committed_value(target, name, None)

    event.listen(model, "init", no_row_yet)


#: Rank, state, error and time as one text: one column is read faster than four.
_PACKED = sa.func.min(
    RANK
    + _constant(",")
    + _SYNC.sync_state
    + _constant(",")
    + sa.func.coalesce(_SYNC.sync_error, _constant(""))
    + _constant(",")
    + sa.cast(_SYNC.updated_at, sa.String(32))
)


def extend(resource: dict[str, typing.Any], row: typing.Any) -> None:
    """Add the three attributes to an API dict, from an ORM row or an object made of one."""
    row = getattr(row, "db_obj", row)
    packed = row.standard_attr.workflow_sync
    if packed is None and isinstance(row, security_group_models.SecurityGroupRule):
        packed = row.workflow_group_sync
    resource.update(_shown(packed))


def of(row: typing.Any) -> states.SyncState:
    """Return the state of an ORM row that is no security group's rule."""
    return states.SyncState(_shown(row.standard_attr.workflow_sync)["sync_state"])


def _shown(packed: str | None) -> dict[str, typing.Any]:
    if packed is None:
        return {
            "sync_state": states.SyncState.UNMANAGED.value,
            "sync_error": None,
            "sync_updated_at": None,
        }
    _, state, error, updated_at = packed.split(",")
    return {
        "sync_state": state,
        "sync_error": fields.message(error or None),
        "sync_updated_at": fields.time(datetime.datetime.fromisoformat(updated_at)),
    }


def pending(resource: dict[str, typing.Any], since: datetime.datetime) -> None:
    """Say of a resource whose change has just been committed that no backend has it yet."""
    resource.update(
        sync_state=states.SyncState.PENDING.value,
        sync_error=None,
        sync_updated_at=fields.time(since),
    )


def _filter(model: type[typing.Any]) -> collections.abc.Callable[..., typing.Any]:
    """Return the hook that applies ``?sync_state=`` to queries of a model."""
    # From the best source of a state to the last, as :func:`extend` looks for it.
    sources = [_SYNC.standard_attr_id == model.standard_attr_id]
    if model is security_group_models.SecurityGroupRule:
        sources.append(_of_group(model))

    def apply(query: typing.Any, filters: typing.Mapping[str, typing.Any]) -> typing.Any:
        wanted = filters.get("sync_state")
        if not wanted:
            return query
        criterion: sa.ColumnElement[bool] = sa.literal(states.SyncState.UNMANAGED in wanted)
        for source in reversed(sources):
            found = sa.or_(*(_shows(source, state) for state in wanted))
            criterion = found | (~sa.exists().where(source) & criterion)
        return query.filter(criterion)

    return apply


def _shows(source: sa.ColumnElement[bool], state: states.SyncState) -> sa.ColumnElement[bool]:
    """Ask whether ``state`` is the worst of the rows that ``source`` finds."""
    found = sa.exists().where(source, _SYNC.sync_state == state)
    worse = _ORDER[: _ORDER.index(state)]
    return found & ~sa.exists().where(source, _SYNC.sync_state.in_(worse)) if worse else found


#: Neutron keeps weak references to the hooks: these are the strong ones.
_FILTERS = {collection: _filter(model) for collection, model in MODELS.items()}
