# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Columns: how values read for people; machines (``-f json``) get them as the API gave them."""

import collections.abc
import typing

from cliff import columns

Json = dict[str, typing.Any]


class Failure(columns.FormattableColumn[Json | None]):
    """A failure's code and text."""

    def human_readable(self) -> str:
        """Return both in one line."""
        return failure(self._value)


class Counts(columns.FormattableColumn[Json | None]):
    """How many tasks are in which state."""

    def human_readable(self) -> str:
        """Return the counts in one line."""
        return counts(self._value or {})


class Drivers(columns.FormattableColumn[list[Json] | None]):
    """How far each driver's backend follows."""

    def human_readable(self) -> str:
        """Return them in one line."""
        return ", ".join(f"{one['driver']} {one['sync_state']}" for one in self._value or ())


class Text(columns.FormattableColumn[str | None]):
    """A text, or nothing."""

    def human_readable(self) -> str:
        """Return the text; nothing is not the word None."""
        return self._value or ""


#: How these fields are shown, wherever they are.
_SHOWN: dict[str, type[columns.FormattableColumn[typing.Any]]] = {
    "drivers": Drivers,
    "failure": Failure,
    "tasks": Counts,
    **dict.fromkeys(
        (
            *("waiting_for", "blocked_by", "waits_for", "superseded_by", "next_attempt_at"),
            *("started_at", "finished_at", "failure_detail", "host", "sync_error"),
            *("sync_updated_at", "name"),
        ),
        Text,
    ),
}


def failure(value: Json | None) -> str:
    """Return a failure in one line; "" for none."""
    return f"{value['code']}: {value['message']}" if value else ""


def counts(numbers: collections.abc.Mapping[str, int]) -> str:
    """Return ``2 SUCCESS, 1 FAILED``."""
    return ", ".join(f"{number} {name}" for name, number in numbers.items())


def cell(field: str, value: typing.Any) -> typing.Any:
    """Return a field's value as a table's cell."""
    shown = _SHOWN.get(field)
    return shown(value) if shown else value


def row(fields: collections.abc.Iterable[str], source: typing.Any) -> tuple[typing.Any, ...]:
    """Return cells of a resource's attributes."""
    return tuple(cell(field, getattr(source, field)) for field in fields)
