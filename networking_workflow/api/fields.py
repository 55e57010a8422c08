# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What answers are made of: attribute descriptions, times, failures, states as filters."""

import collections.abc
import datetime
import enum
import typing

from neutron_lib import exceptions as n_exc

from networking_workflow.model import failures

Attribute = dict[str, typing.Any]


def shown(**more: typing.Any) -> Attribute:
    """Describe an attribute that everybody reads and nobody writes."""
    return {"allow_post": False, "allow_put": False, "is_visible": True, "default": None, **more}


def filtered(**more: typing.Any) -> Attribute:
    """Describe an attribute that is shown, filtered and sorted by."""
    return shown(is_filter=True, is_sort_key=True, **more)


def named(**more: typing.Any) -> Attribute:
    """Describe an attribute that holds a name or an id: as :func:`filtered`, by plain text."""
    return filtered(convert_to=plain, **more)


def filter_only(**more: typing.Any) -> Attribute:
    """Describe something to filter by that no answer shows."""
    return shown(is_filter=True, **more) | {"is_visible": False}


def is_plain(text: str) -> bool:
    """Return whether a text is printable ASCII, as all names and ids of the journal are.

    A database connection of MariaDB's 3-byte charset, which Neutron's users may have configured,
    cannot even compare others.
    """
    return text.isascii() and (text.isprintable() or not text)


def plain(value: str) -> str:
    """Return a filter's value; other characters than printable ASCII are answered with 400."""
    if not is_plain(value):
        raise n_exc.InvalidInput(error_message=f"{value!r} is not printable ASCII")
    return value


def one_of(states: type[enum.StrEnum]) -> collections.abc.Callable[[str], str]:
    """Return a converter of a filter's value to a state's; other words are answered with 400."""

    def convert(value: str) -> str:
        try:
            return states(value).value
        except ValueError as error:
            raise n_exc.InvalidInput(
                error_message=f"{value!r} is none of {', '.join(states)}"
            ) from error

    return convert


def time(moment: datetime.datetime | None) -> str | None:
    """Return a UTC time without zone as ISO 8601 text with microseconds and Z."""
    return moment.isoformat(timespec="microseconds") + "Z" if moment else None


def message(code: str | None) -> str | None:
    """Return the text of a failure code that tenants may read."""
    return failures.TENANT_TEXT[failures.FailureCode(code)] if code else None


def failure(code: str | None) -> dict[str, str | None] | None:
    """Return a failure as tenants may read it."""
    return {"code": code, "message": message(code)} if code else None
