# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Rows of the journal for one request: its project's, filtered, sorted, a page at a time."""

import dataclasses
import typing

from neutron_lib.db import model_query
from neutron_lib.db import utils as db_utils
from sqlalchemy import exc as sa_exc

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
    """Return a page of rows in one statement, after the row ``marker`` if that is given."""
    query = model_query.get_collection_query(
        context,
        model,
        filters=page.filters,
        sorts=page.sorts,
        limit=page.limit,
        marker_obj=marker,
        page_reverse=page.page_reverse,
    )
    found = query.all()
    if page.limit and page.page_reverse:
        found.reverse()
    return list(found)


def row(context: typing.Any, model: type[typing.Any], row_id: str) -> typing.Any:
    """Return one row that the request may see, or ``None``."""
    try:
        return model_query.get_by_id(context, model, row_id)
    except sa_exc.NoResultFound:
        return None
