# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``sync_state`` on networks, subnets, ports and the rest: does the backend hold what is shown?

The journal's row of a resource comes with its StandardAttribute, in the same statement: no list
costs a statement more.
"""

import collections.abc
import typing

import sqlalchemy as sa
from neutron.db import models_v2
from neutron.db.models import address_group as address_group_models
from neutron.db.models import securitygroup as security_group_models
from neutron.objects import address_group as address_group_objects
from neutron.objects import securitygroup as security_group_objects
from neutron.objects import subnet as subnet_objects
from neutron_lib.db import model_query, resource_extend, standard_attr
from sqlalchemy import event, orm
from sqlalchemy.orm import attributes as orm_attributes

from networking_workflow.api import fields, models
from networking_workflow.journal import clock, tables
from networking_workflow.model import keys, states

#: The resources that show it: the class of their rows by collection.
MODELS: dict[str, type[typing.Any]] = {
    "networks": models_v2.Network,
    "subnets": models_v2.Subnet,
    "ports": models_v2.Port,
    "security_groups": security_group_models.SecurityGroup,
    "security_group_rules": security_group_models.SecurityGroupRule,
    "address_groups": address_group_models.AddressGroup,
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
)

#: The row of a group; a rule that was made together with it has none of its own.
_GROUPS = sa.and_(
    tables.resource_sync.c.lane == keys.DEFAULT_LANE,
    tables.resource_sync.c.resource_type == "security_group",
)


def install() -> None:
    """Join the journal's rows to Neutron's, extend the answers and the filters; once a process."""
    if hasattr(standard_attr.StandardAttribute, "workflow_sync"):
        return
    standard_attr.StandardAttribute.workflow_sync = orm.relationship(
        models.ResourceSync,
        primaryjoin=lambda: (
            standard_attr.StandardAttribute.id
            == orm.foreign(tables.resource_sync.c.standard_attr_id)
        ),
        back_populates="standard_attribute",
        uselist=False,
        viewonly=True,
        lazy="joined",
    )
    security_group_models.SecurityGroupRule.workflow_group_sync = orm.relationship(
        models.ResourceSync,
        primaryjoin=lambda: sa.and_(
            orm.foreign(tables.resource_sync.c.resource_id)
            == security_group_models.SecurityGroupRule.security_group_id,
            _GROUPS,
        ),
        back_populates="rule",
        uselist=False,
        viewonly=True,
        lazy="joined",
    )
    event.listen(standard_attr.StandardAttribute, "init", _no_row_yet)
    event.listen(security_group_models.SecurityGroupRule, "init", _no_group_row_yet)
    for collection, model in MODELS.items():
        resource_extend.register_funcs(collection, [extend])
        model_query.register_hook(
            model,
            "workflow_sync_state",
            query_hook=None,
            filter_hook=None,
            result_filters=_FILTERS[collection],
        )
    for object_class in _OBJECTS:
        object_class.add_extra_filter_name("sync_state")


def extend(resource: dict[str, typing.Any], row: typing.Any) -> None:
    """Add the three attributes to an API dict, from an ORM row or an object made of one."""
    row = getattr(row, "db_obj", row)
    sync = row.standard_attr.workflow_sync
    if sync is None and isinstance(row, security_group_models.SecurityGroupRule):
        sync = row.workflow_group_sync
    resource.update(_shown(sync))


def _shown(sync: typing.Any) -> dict[str, typing.Any]:
    if sync is None:
        return {
            "sync_state": states.SyncState.UNMANAGED.value,
            "sync_error": None,
            "sync_updated_at": None,
        }
    return {
        "sync_state": sync.sync_state,
        "sync_error": fields.message(sync.sync_error),
        "sync_updated_at": fields.time(sync.updated_at),
    }


def pending(resource: dict[str, typing.Any]) -> None:
    """Say of a resource whose change has just been committed that no backend has it yet."""
    resource.update(
        sync_state=states.SyncState.PENDING.value,
        sync_error=None,
        sync_updated_at=fields.time(clock.local()),
    )


# Tell new rows that nothing is joined to them: otherwise each would ask with a statement.


def _no_row_yet(target: typing.Any, _args: typing.Any, _kwargs: typing.Any) -> None:
    orm_attributes.set_committed_value(target, "workflow_sync", None)


def _no_group_row_yet(target: typing.Any, _args: typing.Any, _kwargs: typing.Any) -> None:
    orm_attributes.set_committed_value(target, "workflow_group_sync", None)


def _filter(model: type[typing.Any]) -> collections.abc.Callable[..., typing.Any]:
    """Return the hook that applies ``?sync_state=`` to queries of a model."""
    sync = tables.resource_sync.c
    # From the best source of a state to the last, as :func:`extend` looks for it.
    sources = [sync.standard_attr_id == model.standard_attr_id]
    if model is security_group_models.SecurityGroupRule:
        sources.append(sa.and_(sync.resource_id == model.security_group_id, _GROUPS))

    def apply(query: typing.Any, filters: typing.Mapping[str, typing.Any]) -> typing.Any:
        wanted = filters.get("sync_state")
        if not wanted:
            return query
        criterion: sa.ColumnElement[bool] = sa.literal(states.SyncState.UNMANAGED in wanted)
        for source in reversed(sources):
            found = sa.exists().where(source, sync.sync_state.in_(wanted))
            criterion = found | (~sa.exists().where(source) & criterion)
        return query.filter(criterion)

    return apply


#: Neutron keeps weak references to the hooks: these are the strong ones.
_FILTERS = {collection: _filter(model) for collection, model in MODELS.items()}
