# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What OVN's northbound database holds, read with ``ovn-nbctl`` alone."""

import dataclasses
import json
import typing

Row = dict[str, typing.Any]

TABLES = (
    *("Logical_Switch", "Logical_Switch_Port", "DHCP_Options", "Port_Group", "ACL"),
    *("Logical_Router", "Logical_Router_Port", "Logical_Router_Static_Route", "NAT"),
    *("Load_Balancer", "QoS"),
)


def _value(raw: typing.Any) -> typing.Any:
    """Return an OVSDB JSON value (RFC 7047, 5.1) as plain Python: sets as sets, maps as dicts."""
    if not isinstance(raw, list):
        return raw
    kind, body = raw
    if kind == "uuid":
        return body
    if kind == "set":
        return frozenset(_value(item) for item in body)
    return {_value(key): _value(item) for key, item in body}


def as_set(value: typing.Any) -> frozenset[typing.Any]:
    """Return a column of up to many values as a set, however OVSDB chose to write it."""
    return value if isinstance(value, frozenset) else frozenset({value})


@dataclasses.dataclass(frozen=True)
class Northbound:
    """One reading: rows by table and row UUID."""

    tables: dict[str, dict[str, Row]]
    _names: dict[str, dict[str, Row]] = dataclasses.field(default_factory=dict, compare=False)

    def rows(self, table: str) -> list[Row]:
        """Return the rows of one table."""
        return list(self.tables[table].values())

    def named(self, table: str, name: str) -> Row | None:
        """Return the row of that name, if there is one."""
        return self._by_name(table).get(name)

    def _by_name(self, table: str) -> dict[str, Row]:
        if table not in self._names:
            self._names[table] = {row["name"]: row for row in reversed(self.rows(table))}
        return self._names[table]


def read(nbctl: typing.Callable[..., str]) -> Northbound:
    """Read every table that the comparison needs; ``nbctl`` runs ``ovn-nbctl`` with arguments."""
    return Northbound(
        {
            table: {
                row["_uuid"]: row
                for row in (
                    dict(zip(answer["headings"], map(_value, values), strict=True))
                    for values in answer["data"]
                )
            }
            for table, answer in listed(nbctl, TABLES).items()
        }
    )


def listed(
    nbctl: typing.Callable[..., str], tables: typing.Sequence[str]
) -> dict[str, dict[str, typing.Any]]:
    """Return ``ovn-nbctl``'s JSON for each table, ``{"headings": [...], "data": [...]}``."""
    commands = [word for table in tables for word in ("--", "list", table)]
    text, decoder, found = nbctl("--format=json", *commands), json.JSONDecoder(), {}
    for table in tables:
        found[table], end = decoder.raw_decode(text)
        text = text[end:].lstrip()
    return found
