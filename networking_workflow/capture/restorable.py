# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Whether what a call changed may still be undone: nothing that came later goes with it."""

import logging
import typing

import sqlalchemy as sa

from networking_workflow.capture import clashes, classes, images, schema
from networking_workflow.journal import reverts
from networking_workflow.model import errors

LOG = logging.getLogger(__name__)


class CannotRestore(errors.WorkflowError):
    """The database cannot be made as it was without undoing what came later."""


def changed_by(context: typing.Any, later: reverts.Later) -> CannotRestore:
    """Return the error that says who changed the resource; only the caller's project is named."""
    seen = context.is_admin or later.project_id == context.project_id
    by = f"workflow {later.workflow_id}" if seen else "somebody else"
    return CannotRestore(
        f"The resource was changed again by {by}; that change stays, and what this call changed "
        "stays with it."
    )


def check(name: schema.RowName, row: images.Image, now: schema.Values | None) -> None:
    """Refuse to undo what is not any more as the call left it.

    :raises CannotRestore: if it is not.
    """
    if not row.between:
        if row.after is None or now is None:
            as_left = row.after is now
        else:
            columns = set(row.changed) - images.MOVED_BY_BACKENDS - images.MOVED_BY_TASKS
            as_left = all(now[column] == row.after[column] for column in columns)
        if as_left:
            return
    LOG.info("A call is not undone: row %s of table %s was changed since", name.key, name.table)
    raise CannotRestore(
        "What the call changed was changed again since; that stays, and what this call changed "
        "stays with it."
    )


def check_clashes(
    connection: sa.Connection,
    changed: typing.Mapping[schema.RowName, images.Image],
    found: typing.Container[schema.RowName],
) -> None:
    """Refuse to bring back what Neutron would refuse to make now.

    :raises CannotRestore: if there is something.
    """
    coming = [
        (name, row.before)
        for name, row in changed.items()
        if row.before is not None and name not in found
    ]
    clash = clashes.clashing(connection, coming, changed)
    if clash is not None:
        LOG.info("A call is not undone: row %s of table %s is in the way", clash.key, clash.table)
        raise CannotRestore("Something else has taken the place of what it took away; all stays.")


def check_dependents(
    connection: sa.Connection, changed: typing.Mapping[schema.RowName, images.Image]
) -> None:
    """Refuse to take away with a row what others have made to rely on it.

    The database takes some of it along, and the models some more.

    :raises CannotRestore: if there is something.
    """
    made: dict[str, list[schema.Values]] = {}
    for name, row in changed.items():
        if row.before is None and row.after is not None:
            made.setdefault(name.table, []).append(row.after)
    for table, values in made.items():
        for reference in schema.references_to(table):
            if not _is_of_another(reference):
                continue
            query = sa.select(reference.table).where(reference.to(values))
            for other in connection.execute(query).mappings():
                name = schema.name_of(reference.table, other)
                if name not in changed:
                    LOG.info(
                        "A call is not undone: row %s of table %s relies on it",
                        name.key,
                        name.table,
                    )
                    raise CannotRestore(
                        "Something else was made or changed since and relies on what this call "
                        "made; all stays."
                    )


def _is_of_another(reference: schema.Reference) -> bool:
    """Return whether rows that refer so are resources, or parts of another than the referred."""
    part = classes.CHILD.get(reference.table.name)
    return reference.table.name in classes.ITSELF or (
        part is not None and part.column not in reference.columns
    )
