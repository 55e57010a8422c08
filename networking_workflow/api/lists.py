# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Rows of the journal for one request: its project's, filtered, sorted, a page at a time."""

import dataclasses
import datetime
import typing

from neutron_lib import exceptions as n_exc
from neutron_lib.db import model_query
from neutron_lib.db import utils as db_utils
from oslo_db.sqlalchemy import utils as sa_utils
from oslo_utils import timeutils
from sqlalchemy import exc as sa_exc

from networking_workflow.api import fields, models

Filters = dict[str, list[typing.Any]]
Sorts = list[tuple[str, bool]]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """Which part of a list was asked for; the fields are those of Neutron's plugin methods."""

    filters: Filters | None = None
    sorts: Sorts | None = None
    limit: int | None = None
    page_reverse: bool = False


def sees_all(context: typing.Any, model: type[typing.Any]) -> bool:
    """Return whether a request reads the rows of every project."""
    return not db_utils.model_query_scope_is_project(context, model)


def rows(
    context: typing.Any, model: type[typing.Any], page: Page, marker: typing.Any
) -> list[typing.Any]:
    """Return a page of rows in one statement, after the row ``marker`` if that is given.

    ``get_collection_query`` would sort by the columns of every unique constraint as well, and
    MariaDB then reads and sorts whole tables.
    """
    query = model_query.get_collection_query(context, model, filters=page.filters)
    if page.sorts:
        sorts = _one_way(page.sorts)
        query = sa_utils.paginate_query(
            query,
            model,
            page.limit,
            sort_keys=db_utils.get_and_validate_sort_keys(sorts, model),
            marker=marker,
            sort_dirs=db_utils.get_sort_dirs(sorts, page.page_reverse),
        )
    found = query.all()
    if page.limit and page.page_reverse:
        found.reverse()
    return list(found)


def _one_way(sorts: Sorts) -> Sorts:
    """Let the id, which ends every order, go the way of the key before it.

    Neutron's controller adds it ascending. An index is read in one direction: with ``created_at``
    descending, all of a project's rows would be read and sorted for each page.
    """
    *before, (last, ascending) = sorts
    return [*before, (last, before[-1][1] if before and last == "id" else ascending)]


def count(context: typing.Any, model: type[typing.Any], filters: Filters) -> int:
    """Return how many rows the request may see that ``filters`` find."""
    query = model_query.get_collection_query(context, model, filters=filters)
    return int(query.count())


def row(context: typing.Any, model: type[typing.Any], row_id: str) -> typing.Any:
    """Return one row that the request may see, or ``None``."""
    if not fields.is_plain(row_id):
        return None
    try:
        return model_query.get_by_id(context, model, row_id)
    except sa_exc.NoResultFound:
        return None


def moment(text: str) -> datetime.datetime:
    """Return the time of a filter's value, in UTC without zone, as the journal writes it.

    :raises InvalidInput: if it is not ISO 8601.
    """
    try:
        parsed = timeutils.parse_isotime(text)
    except (ValueError, OverflowError) as error:
        raise n_exc.InvalidInput(
            error_message=f"{text!r} is no time like 2026-11-24T12:00:00.000000Z"
        ) from error
    normal: datetime.datetime = timeutils.normalize_time(parsed)
    return normal


def _changed_since(query: typing.Any, filters: typing.Mapping[str, typing.Any]) -> typing.Any:
    """Apply ``?changed_since=``: what was written at that time or later."""
    for value in filters.get("changed_since") or ():
        (entity,) = (d["entity"] for d in query.column_descriptions)
        query = query.filter(entity.updated_at >= value)
    return query


for _model in (models.Workflow, models.Task):
    # Neutron keeps a weak reference to the hook: this module's name is the strong one.
    model_query.register_hook(
        _model, "changed_since", query_hook=None, filter_hook=None, result_filters=_changed_since
    )
