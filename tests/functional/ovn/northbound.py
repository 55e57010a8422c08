# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The Northbound database as text that two clouds with other UUIDs have in common."""

import json
import re
import typing

from lab import ovn as lab_ovn
from lab.demo import northbound

TABLES = (
    "Logical_Switch",
    "Logical_Switch_Port",
    "DHCP_Options",
    "Port_Group",
    "ACL",
    "Address_Set",
    "DNS",
    "HA_Chassis_Group",
    "HA_Chassis",
    "QoS",
)

#: Written by northd, or by whoever came first, at random.
_SKIPPED = {"_uuid", "up", "tag", "dynamic_addresses"}
_RANDOM_OPTIONS = {"server_mac", "server_id"}
_MAC = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}")

Row = dict[str, typing.Any]


def rows(ovn: lab_ovn.OvnCentral, tables: typing.Sequence[str] = TABLES) -> dict[str, list[Row]]:
    """Return every row, references as UUID texts."""
    return {
        table: [
            dict(zip(said["headings"], map(_plain, values), strict=True)) for values in said["data"]
        ]
        for table, said in northbound.listed(ovn.nbctl, tables).items()
    }


def normalised(
    ovn: lab_ovn.OvnCentral, names: typing.Mapping[str, str], *, revisions: bool = True
) -> list[str]:
    """Return one line for each row; ``names`` maps ids, addresses and the like to labels."""
    found = rows(ovn)
    own = {one["_uuid"]: _label(table, one) for table in TABLES for one in found[table]}
    replace = {**own, **names}
    replace |= {key.replace("-", "_"): value for key, value in names.items() if "-" in key}
    pattern = re.compile("|".join(sorted(map(re.escape, replace), key=len, reverse=True)))
    lines = []
    for table in TABLES:
        for one in found[table]:
            columns = {key: value for key, value in one.items() if key not in _SKIPPED}
            _hide_random(columns)
            if not revisions:
                columns.get("external_ids", {}).pop("neutron:revision_number", None)
            text = json.dumps(_sorted(columns), sort_keys=True)
            lines.append(table + " " + _twice(pattern, replace, text))
    return sorted(_resort(line) for line in lines)


def _twice(pattern: re.Pattern[str], replace: dict[str, str], text: str) -> str:
    # A row's label may itself hold ids.
    for _ in range(2):
        text = pattern.sub(lambda match: replace[match.group()], text)
    return text


def _resort(line: str) -> str:
    table, _, text = line.partition(" ")
    return table + " " + json.dumps(_sorted(json.loads(text)), sort_keys=True)


def _label(table: str, row: Row) -> str:
    if table == "ACL":
        return f"acl {row['direction']} {row['match']}".replace('"', "'")
    if table in ("DHCP_Options", "QoS", "DNS"):
        ids = {key: one for key, one in row["external_ids"].items() if "revision" not in key}
        return f"{table} of {sorted(ids.items())}".replace('"', "'")
    return str(row.get("name") or row.get("chassis_name"))


def _hide_random(columns: Row) -> None:
    options = columns.get("options")
    if isinstance(options, dict):
        for key in _RANDOM_OPTIONS & options.keys():
            if _MAC.fullmatch(str(options[key])):
                options[key] = "a MAC"
    if isinstance(options, dict) and "virtual-parents" in options:
        options["virtual-parents"] = sorted(options["virtual-parents"].split(","))
    external_ids = columns.get("external_ids")
    if isinstance(external_ids, dict):
        for key in ("neutron:security_group_ids", "neutron:cidrs"):
            if key in external_ids:
                external_ids[key] = sorted(external_ids[key].split())


def _plain(value: typing.Any) -> typing.Any:
    if not isinstance(value, list):
        return value
    kind, content = value
    if kind == "map":
        return {_plain(key): _plain(one) for key, one in content}
    if kind == "set":
        return [_plain(one) for one in content]
    return content


def _sorted(value: typing.Any) -> typing.Any:
    if isinstance(value, dict):
        return {key: _sorted(one) for key, one in value.items()}
    if isinstance(value, list):
        return sorted((_sorted(one) for one in value), key=str)
    return value
