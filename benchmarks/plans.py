# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What a database's planner says of statements: does it read a whole table?"""

import collections.abc
import contextlib
import json
import re
import typing

import sqlalchemy as sa

#: Tables that grow with what is queued.
GROWING = ("workflow_workflows", "workflow_holds")

#: Rows; a plan that sorts as many grows with what is queued, whatever index it found them by.
MANY = 1000

#: (text, parameters) as the driver gets them.
Statement = tuple[str, typing.Any]


@contextlib.contextmanager
def recorded(engine: sa.Engine) -> typing.Iterator[list[Statement]]:
    """Give a list that gets every statement sent through ``engine`` within the block."""
    statements: list[Statement] = []

    def note(
        _c: typing.Any,
        _cursor: typing.Any,
        text: str,
        parameters: typing.Any,
        _x: typing.Any,
        many: bool,
    ) -> None:
        statements.append((text, parameters[0] if many else parameters))

    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)


def scans(engine: sa.Engine, statements: collections.abc.Iterable[Statement]) -> list[str]:
    """Return each statement that reads a whole growing table, with what the planner said."""
    explain = {"sqlite": _sqlite, "postgresql": _postgresql}.get(engine.dialect.name, _mariadb)
    found = []
    with engine.connect() as connection:
        for text, parameters in _explainable(statements):
            found += [
                f"{plan}: {' '.join(text.split())}"
                for plan in explain(connection, text, parameters)
            ]
        connection.rollback()
    return found


def _explainable(
    statements: collections.abc.Iterable[Statement],
) -> collections.abc.Iterator[Statement]:
    """Yield what reads, each text once; an INSERT of values reads nothing."""
    seen = set()
    for text, parameters in statements:
        reads = re.match(r"\s*\(?\s*(SELECT|UPDATE|DELETE|WITH)\b", text, re.IGNORECASE)
        if (reads or re.search(r"\bSELECT\b", text)) and text not in seen:
            seen.add(text)
            yield text, parameters


def _names(text: str) -> set[str]:
    """Return the names under which a statement may know the growing tables."""
    aliases = re.findall(rf"\b(?:{'|'.join(GROWING)})\s+AS\s+\W?(\w+)", text, re.IGNORECASE)
    return {*GROWING, *aliases}


def _sqlite(connection: sa.Connection, text: str, parameters: typing.Any) -> list[str]:
    rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", parameters)
    names = "|".join(_names(text))
    return [row[3] for row in rows if re.match(rf"SCAN ({names})\b", row[3])]


def _mariadb(connection: sa.Connection, text: str, parameters: typing.Any) -> list[str]:
    rows = connection.exec_driver_sql(f"EXPLAIN {text}", parameters).mappings()
    return [
        f"{row['type']} of {row['table']}, {row['rows']} rows, {row['Extra']}"
        for row in rows
        if row["table"] in _names(text) and _reads_all(row)
    ]


def _reads_all(row: sa.RowMapping) -> bool:
    """Return whether a line of MariaDB's plan is a scan, or sorts far more than it returns."""
    sorts = "Using filesort" in row["Extra"] and int(row["rows"] or 0) >= MANY
    return row["type"] in {"ALL", "index"} or sorts


def _postgresql(connection: sa.Connection, text: str, parameters: typing.Any) -> list[str]:
    answer = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {text}", parameters).scalar_one()
    plan = json.loads(answer) if isinstance(answer, str) else answer
    return [
        f"{node['Node Type']} of {node['Relation Name']}, {node['Plan Rows']} rows"
        for node in _nodes(plan[0]["Plan"])
        if node["Node Type"] == "Seq Scan" and node.get("Relation Name") in GROWING
    ]


def _nodes(node: dict[str, typing.Any]) -> collections.abc.Iterator[dict[str, typing.Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)
