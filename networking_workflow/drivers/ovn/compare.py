# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Tell expected rows from found ones, in words; pure."""

import dataclasses
import re
import typing

#: A row's place: table and name (for tables without names: what identifies the row).
Place = tuple[str, str]

#: What was read of the rows that were asked for; None: not there.
Found = typing.Mapping[Place, typing.Mapping[str, typing.Any] | None]

MAC = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}", re.IGNORECASE)


@dataclasses.dataclass(frozen=True, slots=True)
class AnyMac:
    """Some Ethernet address: chosen at random by whoever wrote the row first."""

    def __eq__(self, other: object) -> bool:
        if isinstance(other, AnyMac):
            return True
        return isinstance(other, str) and MAC.fullmatch(other) is not None

    def __str__(self) -> str:
        return "an Ethernet address"


@dataclasses.dataclass(frozen=True, slots=True)
class OneOf:
    """Any of some texts: rows that stand for several resources name one of them."""

    texts: frozenset[str]
    preferred: str = ""  #: what to write where none of them is there; "": the first by text

    def __eq__(self, other: object) -> bool:
        return other in self.texts

    def __str__(self) -> str:
        return " or ".join(sorted(self.texts))


@dataclasses.dataclass(frozen=True, slots=True)
class NotZero:
    """Some number but 0: chosen at random by whoever wrote the row first."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, int) and other != 0

    def __str__(self) -> str:
        return "a number other than 0"


@dataclasses.dataclass(frozen=True, slots=True)
class Words:
    """A text whose words may come in any order."""

    words: frozenset[str]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and frozenset(other.split()) == self.words

    def __str__(self) -> str:
        return " ".join(sorted(self.words))


@dataclasses.dataclass(frozen=True, slots=True)
class Including:
    """A comma-separated text that has ``part`` among its parts."""

    part: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and self.part in other.split(",")

    def __str__(self) -> str:
        return f"a list with {self.part}"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Keys:
    """A map column, of which others may own keys too."""

    wanted: typing.Mapping[str, typing.Any]
    unwanted: frozenset[str] = frozenset()  #: keys of ours that must not be there
    closed: bool = False  #: a key that is neither wanted nor ``foreign`` must not be there
    foreign: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A row that must be there, with the columns that the driver answers for."""

    table: str
    name: str
    columns: typing.Mapping[str, typing.Any]
    optional: bool = False  #: another resource makes it; what is said here holds once it is there
    absent: bool = False  #: it must not be there

    @property
    def place(self) -> Place:
        """Return where it is."""
        return self.table, self.name


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One column, or one key of a map column, that is not as it should be."""

    table: str
    name: str
    column: str  #: "" if the whole row is missing
    expected: typing.Any
    found: typing.Any

    @property
    def place(self) -> Place:
        """Return the row."""
        return self.table, self.name

    @property
    def missing(self) -> bool:
        """Return whether the row is not there at all."""
        return not self.column and self.found is None

    def __str__(self) -> str:
        where = f"{self.table} {self.name}"
        if not self.column:
            return f"{where} is not there" if self.missing else f"{where} is still there"
        return f"{where}: {self.column} is {_text(self.found)}, expected {_text(self.expected)}"


def differences(rows: typing.Iterable[Row], found: Found) -> tuple[Difference, ...]:
    """Return every difference, in the order of ``rows``; none: equal."""
    result: list[Difference] = []
    for row in rows:
        there = found.get(row.place)
        if there is None or row.absent:
            if (there is None) != row.absent and not row.optional:
                result.append(_difference(row, "", row.absent, there))
            continue
        for column, wanted in row.columns.items():
            result.extend(_column(row, column, wanted, there.get(column)))
    return tuple(result)


def unspeakable(rows: typing.Iterable[Row]) -> tuple[str, ...]:
    """Return the columns, in words, whose text the OVSDB protocol cannot carry; none: all can.

    JSON strings of OVSDB (RFC 7047, 3.1) have no NUL and no lone surrogate. The server ends the
    connection of a client that sends one, and would do so at each attempt.
    """
    return tuple(
        f"{row.table} {row.name}: {column} has a character that OVSDB cannot carry"
        for row in rows
        if not row.absent
        for column, wanted in row.columns.items()
        if any(map(_UNSPEAKABLE.search, _texts(wanted)))
    )


_UNSPEAKABLE = re.compile("[\\x00\\ud800-\\udfff]")


def _texts(wanted: typing.Any) -> typing.Iterator[str]:
    if isinstance(wanted, str):
        yield wanted
    elif isinstance(wanted, Keys):
        for value in wanted.wanted.values():
            yield from _texts(value)
    elif isinstance(wanted, frozenset):
        for value in wanted:
            yield from _texts(value)


def _column(
    row: Row, column: str, wanted: typing.Any, found: typing.Any
) -> typing.Iterator[Difference]:
    if not isinstance(wanted, Keys):
        if wanted != found:
            yield _difference(row, column, wanted, found)
        return
    there = dict(found or {})
    for key, value in wanted.wanted.items():
        if value != there.get(key):
            yield _difference(row, f"{column}:{key}", value, there.get(key))
    extra = there.keys() - wanted.wanted.keys()
    for key in sorted(extra - wanted.foreign if wanted.closed else extra & wanted.unwanted):
        yield _difference(row, f"{column}:{key}", None, there[key])


def _difference(row: Row, column: str, expected: typing.Any, found: typing.Any) -> Difference:
    return Difference(table=row.table, name=row.name, column=column, expected=expected, found=found)


def _text(value: typing.Any) -> str:
    if value is None:
        return "absent"
    if isinstance(value, frozenset):
        return "{" + ", ".join(sorted(map(str, value))) + "}"
    return repr(value) if isinstance(value, str) else str(value)
