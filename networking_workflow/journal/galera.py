# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Whether a connection writes to a Galera cluster, and the gates that certification needs there.

A cluster refuses a commit only if it touches a row that another node's commit *wrote*, and a
foreign key's reference counts as a write only against a row that was deleted or inserted. So an
exclusive take deletes and inserts the gate of its key, and a shared one inserts and deletes a row
that refers to the gate. On one server row locks do all that, and nothing here is written.
"""

import collections.abc

import sqlalchemy as sa

from networking_workflow.journal import deletes, tables

_INFO = "networking_workflow_galera"


def is_galera(connection: sa.Connection) -> bool:
    """Return whether commits on ``connection`` are certified by a cluster.

    One question per database connection, not per engine: a server that joins a cluster has been
    restarted, and a pool goes on with new connections.
    """
    if connection.dialect.name not in ("mysql", "mariadb"):
        return False
    known = connection.info.get(_INFO)
    if known is None:
        row = connection.exec_driver_sql("SHOW VARIABLES LIKE 'wsrep_on'").first()
        known = connection.info[_INFO] = row is not None and row[1] == "ON"
    return bool(known)


def open_gates(
    connection: sa.Connection, taken: collections.abc.Mapping[str, tuple[int, int]]
) -> None:
    """Write the gates of keys taken exclusively: ``{key: (gen before, gen now)}``.

    A key that is new has no gate to delete, and looking for it would lock a gap.
    """
    old = [(key, before) for key, (before, _) in taken.items() if before > 0]
    deletes.delete_rows(connection, tables.gates, old)
    connection.execute(
        sa.insert(tables.gates), [{"k": key, "gen": gen} for key, (_, gen) in taken.items()]
    )


def touch_gates(
    connection: sa.Connection, gens: collections.abc.Mapping[str, int], workflow_id: str
) -> None:
    """Refer to the gates of keys taken shared, and forget it again: ``{key: gen}``."""
    rows = [(key, gen, workflow_id) for key, gen in gens.items()]
    if rows:
        connection.execute(
            sa.insert(tables.touches),
            [dict(zip(("k", "gen", "workflow_id"), row, strict=True)) for row in rows],
        )
        deletes.delete_rows(connection, tables.touches, rows)
