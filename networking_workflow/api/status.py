# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``[workflow] status_mode = extended``: answers of the API fold ``sync_state`` into ``status``.

Only what leaves the API: plugins, drivers, agents, notifications and the database keep Neutron's
own status, which they compare. Services keep it too: Nova would wait for a port that reads BUILD,
and Neutron does not announce one that has been ACTIVE all the time.
"""

import collections.abc
import typing
import urllib.parse

import sqlalchemy as sa
import webob
from neutron.db import models_v2
from neutron.db.models import l3 as l3_models
from neutron.objects import router as router_objects
from neutron.objects import trunk as trunk_objects
from neutron.services.trunk import models as trunk_models
from sqlalchemy.ext import hybrid
from sqlalchemy.sql import operators

from networking_workflow.api import fields, sync_state
from networking_workflow.journal import tables
from networking_workflow.model import states, status

#: The resources that have a status: the class of their rows by collection.
MODELS: dict[str, type[typing.Any]] = {
    "networks": models_v2.Network,
    "ports": models_v2.Port,
    "routers": l3_models.Router,
    "floatingips": l3_models.FloatingIP,
    "trunks": trunk_models.Trunk,
}

#: What Neutron is asked for when a caller filters or sorts by ``status``.
EXTENDED_STATUS = "extended_status"

#: Classes whose lists refuse filters that they have not been told of.
_OBJECTS = (router_objects.FloatingIP, trunk_objects.Trunk)

Environ = dict[str, typing.Any]
Application = collections.abc.Callable[..., collections.abc.Iterable[bytes]]
StartResponse = collections.abc.Callable[..., typing.Any]
Resource = dict[str, typing.Any]


def install() -> None:
    """Let lists be filtered and sorted by what the mode ``extended`` shows; once.

    In every mode, and before the first list: SQLAlchemy remembers what a class can be sorted by.
    """
    if hasattr(models_v2.Port, EXTENDED_STATUS):
        return
    for model in MODELS.values():
        setattr(model, EXTENDED_STATUS, hybrid.hybrid_property(_of_row).comparator(_Column))
    for object_class in _OBJECTS:
        object_class.add_extra_filter_name(EXTENDED_STATUS)


def extend(gained: dict[str, dict[str, fields.Attribute]]) -> None:
    """Add what the mode ``extended`` needs to the attributes that each collection gains."""
    for collection in MODELS.keys() & gained.keys():
        gained[collection][EXTENDED_STATUS] = fields.filter_only(is_sort_key=True)


def _of_row(row: typing.Any) -> str | None:
    return status.shown(row.status, sync_state.of(row))


class _Column(hybrid.Comparator[str | None]):
    """The column of :func:`_of_row`, computed by the database."""

    property: typing.Any = None  # Neutron looks there whether it may be sorted by

    def __init__(self, cls: typing.Any) -> None:
        sync = tables.resource_sync.c
        rank = sa.select(sa.func.min(sync_state.RANK)).where(
            sync.standard_attr_id == cls.standard_attr_id
        )
        settled = cls.status.in_(status.SETTLED)
        unfinished = {
            one: sa.case((settled, text), else_=cls.status)
            for one, text in status.UNFINISHED.items()
        }
        texts = {**status.WRONG, **unfinished}
        super().__init__(
            sa.case(
                {sync_state.RANKS[state]: text for state, text in texts.items()},
                value=rank.correlate(cls).scalar_subquery(),
                else_=cls.status,
            )
        )
        self.type = cls.status.type

    def operate(
        self, op: operators.OperatorType, *other: typing.Any, **kwargs: typing.Any
    ) -> sa.ColumnElement[typing.Any]:
        """Compare and sort as a column does."""
        compared: sa.ColumnElement[typing.Any] = op(self.expression, *other, **kwargs)
        return compared


class Extended:
    """A WSGI application around Neutron's that folds ``sync_state`` into ``status``."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def __call__(
        self, environ: Environ, start_response: StartResponse
    ) -> collections.abc.Iterable[bytes]:
        """Answer one request."""
        caller = environ.get("neutron.context")  # none without Keystone
        if caller is not None and caller.is_service_role:
            return self._application(environ, start_response)
        body: collections.abc.Iterable[bytes]
        body = self._answer(webob.Request(environ))(environ, start_response)
        return body

    def _answer(self, request: webob.Request) -> webob.Response:
        asked = _asked(request) if request.method == "GET" else None
        if asked is None:
            response = request.get_response(self._application)
        else:
            reworded = webob.Request({**request.environ, "QUERY_STRING": asked.query})
            response = reworded.get_response(self._application)
        if response.status_int >= 300 or response.content_type != "application/json":
            return response
        if asked is not None or b'"sync_state"' in response.body:
            body = response.json
            fold(body)
            if asked is not None:
                asked.forget(body)
            response.json = body
        return response


class _Reworded(typing.NamedTuple):
    """A query as Neutron is asked it instead of the caller's."""

    query: str
    adds_state: bool  #: the caller did not ask for ``sync_state``

    def forget(self, body: dict[str, typing.Any]) -> None:
        """Take out of an answer what the caller has not asked for, links to other pages too."""
        for name, value in body.items():
            if name.endswith("_links"):
                for link in value:
                    link["href"] = self._in_callers_words(link["href"])
            elif self.adds_state:
                for resource in _resources(value):
                    resource.pop("sync_state", None)

    def _in_callers_words(self, link: str) -> str:
        parts = urllib.parse.urlsplit(link)
        pairs = _renamed(_pairs(parts.query), EXTENDED_STATUS, "status")
        if self.adds_state:
            pairs.remove(_STATE)
        return parts._replace(query=_encoded(pairs)).geturl()


def _asked(request: webob.Request) -> _Reworded | None:
    """Return the query to ask Neutron, if it is another than the caller's."""
    path = request.environ["PATH_INFO"].strip("/").removesuffix(".json").split("/")
    if len(path) > 2 or path[0] not in MODELS:
        return None
    wanted = _pairs(request.query_string)
    adds_state = ("fields", "status") in wanted and _STATE not in wanted
    asked = _renamed(wanted, "status", EXTENDED_STATUS) + [_STATE] * adds_state
    return _Reworded(_encoded(asked), adds_state) if asked != wanted else None


_Pairs = list[tuple[str, str]]

_STATE = ("fields", "sync_state")


def _renamed(pairs: _Pairs, before: str, after: str) -> _Pairs:
    """Return a query whose filters by and order of one attribute are of another."""
    names, orders = {before: after}, {("sort_key", before): ("sort_key", after)}
    return [orders.get((name, value), (names.get(name, name), value)) for name, value in pairs]


def _pairs(query: str) -> _Pairs:
    # Every byte is one character: what is no UTF-8 is left for Neutron to refuse.
    return urllib.parse.parse_qsl(query, keep_blank_values=True, encoding="latin-1")


def _encoded(pairs: _Pairs) -> str:
    return urllib.parse.urlencode(pairs, encoding="latin-1")


def fold(body: typing.Any) -> None:
    """Let ``status`` of each resource in an answer say what its ``sync_state`` does."""
    # Some actions of trunks answer with the resource under no key.
    values = [body, *body.values()] if isinstance(body, dict) else []
    for resource in (one for value in values for one in _resources(value)):
        if {"status", "sync_state"} <= resource.keys():
            state = states.SyncState(resource["sync_state"])
            resource["status"] = status.shown(resource["status"], state)


def _resources(value: typing.Any) -> list[Resource]:
    """Return the resources under one key of an answer: one, many, or none."""
    values = value if isinstance(value, list) else [value]
    return [one for one in values if isinstance(one, dict)]
