# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

import collections.abc
import pathlib
import re
import typing

import pytest
import webob

from networking_workflow.api import status as api_status
from networking_workflow.model import states, status

PAGE = pathlib.Path(__file__).resolve().parents[3] / "docs" / "status.md"

#: Header of the table of docs/status.md -> the states that its column is about.
COLUMNS = {
    "`SYNCED`, `UNMANAGED`": (states.SyncState.SYNCED, states.SyncState.UNMANAGED),
    "`PENDING`": (states.SyncState.PENDING,),
    "`ERROR`, `DRIFTED`": (states.SyncState.ERROR, states.SyncState.DRIFTED),
}


def table() -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of the table of what is shown in the mode ``extended``."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    start = next(number for number, row in enumerate(cells) if row[-1] == "`ERROR`, `DRIFTED`")
    rows = [row for row in cells[start + 1 :] if len(row) == len(cells[start])]
    return cells[start], rows


def test_the_page_says_what_the_code_shows() -> None:
    header, rows = table()
    assert header[-3:] == list(COLUMNS)
    for row in rows:
        own = row[0].strip("`")
        for shown, column in zip(row[-3:], COLUMNS.values(), strict=True):
            assert {status.shown(own, state) for state in column} == {shown.strip("`")}, row


def test_the_page_knows_every_status() -> None:
    known = {row[0].strip("`") for row in table()[1]}
    assert known >= status.SETTLED | set(status.UNFINISHED.values()) | set(status.WRONG.values())
    assert set().union(*COLUMNS.values()) == set(states.SyncState)


def test_a_resource_without_status_of_its_own_is_not_given_one_while_it_is_pending() -> None:
    assert status.shown(None, states.SyncState.PENDING) is None


def asked(path: str) -> str:
    """Return the query that Neutron is asked when a tenant asks this."""
    seen: list[str] = []

    def neutron(
        environ: dict[str, typing.Any], start_response: typing.Any
    ) -> collections.abc.Iterable[bytes]:
        seen.append(environ["QUERY_STRING"])
        answer: collections.abc.Iterable[bytes]
        answer = webob.Response(json={})(environ, start_response)
        return answer

    webob.Request.blank(path).get_response(api_status.Extended(neutron))
    return seen[0]


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/ports?status=DOWN&name=a+b", "extended_status=DOWN&name=a+b"),
        ("/ports/?status=", "extended_status="),
        ("/ports.json?status=%ff&%fe=1", "extended_status=%FF&%FE=1"),
        ("/ports?sort_key=status&sort_dir=asc", "sort_key=extended_status&sort_dir=asc"),
        ("/ports?fields=status", "fields=status&fields=sync_state"),
        ("/ports/p?fields=status", "fields=status&fields=sync_state"),
    ],
)
def test_what_is_asked_of_the_status_is_asked_of_the_extended_one(path: str, query: str) -> None:
    assert asked(path) == query


@pytest.mark.parametrize(
    "path",
    [
        "/ports?name=%ff&fields=id",
        "/ports?fields=status&fields=sync_state",
        "/ports/p/bindings?status=ACTIVE",
        "/agents?status=DOWN",
        "/%ff?status=DOWN",
        "/?status=DOWN",
    ],
)
def test_every_other_query_is_left_as_it_is(path: str) -> None:
    assert asked(path) == re.sub(r".*\?", "", path)
