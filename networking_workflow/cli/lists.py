# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What the commands of workflows and tasks have in common: filters, order, pages, columns."""

import argparse
import collections.abc
import dataclasses
import enum
import itertools
import re
import typing

from keystoneauth1 import exceptions as ksa_exceptions
from openstack import exceptions as sdk_exceptions
from osc_lib import exceptions
from osc_lib.cli import identity
from osc_lib.command import command

from networking_workflow.cli import errors, fields

Query = dict[str, typing.Any]

#: Rows of a list unless asked otherwise, and rows of one request.
DEFAULT_LIMIT, PAGE = 100, 1000

#: Project ids of Keystone, and UUIDs.
_ID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Filter:
    """One filter of a list as an option, which may be given several times."""

    option: str
    field: str
    help: str
    metavar: str | None = None  #: None: as the option
    states: type[enum.StrEnum] | None = None  #: the values that there are; None: any text

    def add_to(self, parser: argparse._ActionsContainer) -> None:
        """Add the option."""
        metavar = self.metavar or f"<{self.option.removeprefix('--')}>"
        if self.states is None:
            how: Query = {"help": f"{self.help} (may be repeated: any of them)"}
        else:
            choices = [state.value for state in self.states]
            upper = choices[0].isupper()
            how = {
                "type": str.upper if upper else str.lower,
                "choices": choices,
                "help": f"{self.help}: {', '.join(choices)} (may be repeated: any of them)",
            }
        parser.add_argument(self.option, metavar=metavar, dest=self.field, action="append", **how)


#: Filters that workflows and tasks have in common.
BY_ID = Filter(option="--id", field="id", help="With this ID")
BY_RESOURCE = Filter(
    option="--resource",
    metavar="<id>",
    field="resource_id",
    help="Of the resource with this ID; works after it was deleted, too",
)
BY_TYPE = Filter(
    option="--type", field="resource_type", help="Of resources of this type: port, network"
)
BY_OPERATION_ID = Filter(
    option="--operation-id",
    metavar="<id>",
    field="operation_id",
    help="Of the API call with this ID: the X-OpenStack-Request-Id of its answer",
)

_PROJECT = Filter(
    option="--project",
    field="project_id",
    help="Of this project, name or ID; an ID is not looked up, so that a deleted project's works",
)


def add_filters(parser: argparse.ArgumentParser, filters: collections.abc.Iterable[Filter]) -> None:
    """Add the options of filters, in a group of their own."""
    group = parser.add_argument_group("filters", "all that are given must match")
    for one in filters:
        one.add_to(group)
    add_project(group)
    group.add_argument(
        "--changed-since",
        metavar="<time>",
        help="Written at this time or later: ISO 8601, in UTC unless it says otherwise, like "
        "2026-11-24T12:00:00Z",
    )


def add_project(parser: argparse._ActionsContainer) -> None:
    """Add the options that say whose."""
    _PROJECT.add_to(parser)
    parser.add_argument(
        "--project-domain",
        metavar="<project-domain>",
        help="Domain of the projects named with --project, name or ID",
    )


def query(
    command: errors.Networked,
    parsed: argparse.Namespace,
    filters: collections.abc.Iterable[Filter],
) -> Query:
    """Return the filters that were given, as the API names them."""
    wanted: Query = {
        one.field: getattr(parsed, one.field) for one in filters if getattr(parsed, one.field)
    }
    if parsed.changed_since:
        wanted["changed_since"] = [parsed.changed_since]
    return wanted | projects(command, parsed)


def projects(command: errors.Networked, parsed: argparse.Namespace) -> Query:
    """Return the filter by projects, if it was given."""
    named = parsed.project_id or []
    ids = [_project(command, name_or_id, parsed.project_domain) for name_or_id in named]
    return {"project_id": ids} if ids else {}


def _project(command: errors.Networked, name_or_id: str, domain: str | None) -> str:
    """Return a project's id.

    :raises CommandError: if there is no project of that name, or nobody to ask.
    """
    if _ID.fullmatch(name_or_id):
        return name_or_id
    try:
        connection = command.app.client_manager.sdk_connection
        found: str = identity.find_project(connection, name_or_id, domain).id
    except (sdk_exceptions.SDKException, ksa_exceptions.ClientException) as error:
        raise exceptions.CommandError(
            f"The project {name_or_id!r} cannot be looked up: {error}. Give its ID."
        ) from error
    return found


def add_paging(parser: argparse.ArgumentParser, sort_keys: tuple[str, ...]) -> None:
    """Add the options that say which part of a list is meant, in which order."""
    parser.add_argument(
        "--sort",
        metavar="<key>[:<direction>]",
        default="created_at:desc",
        help=f"Order by keys, separated by a comma, of {', '.join(sort_keys)}; direction asc or "
        "desc, asc if absent (default: %(default)s, the newest first)",
    )
    parser.add_argument(
        "--limit",
        metavar="<count>",
        type=_count,
        default=DEFAULT_LIMIT,
        help="Rows at most; 0: all there are (default: %(default)s; says so if there are more)",
    )
    parser.add_argument(
        "--marker",
        metavar="<id>",
        help="Begin after the row with this ID: the last one of the page before",
    )
    parser.add_argument("--long", action="store_true", help="Show all columns")


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number


def order(text: str) -> Query:
    """Return the API's sort keys and directions.

    :raises CommandError: if a direction is none.
    """
    keys, directions = [], []
    for part in text.split(","):
        key, _, direction = part.partition(":")
        if direction not in ("", "asc", "desc"):
            raise exceptions.CommandError(
                f"--sort {part}: the direction must be asc or desc, not {direction!r}"
            )
        keys.append(key)
        directions.append(direction or "asc")
    return {"sort_key": keys, "sort_dir": directions}


def page(
    command: errors.Networked,
    model: typing.Any,
    parsed: argparse.Namespace,
    wanted: Query,
) -> list[typing.Any]:
    """Return the page that was asked for; say on stderr if there is more behind it."""
    asked = wanted | order(parsed.sort)
    if parsed.marker:
        asked["marker"] = parsed.marker
    if not parsed.limit:
        return list(every(command.network, model, **asked))
    # One more than is shown tells whether there are more.
    asked["limit"] = min(parsed.limit + 1, PAGE)
    found = model.list(command.network, **asked)
    shown = list(itertools.islice(found, parsed.limit))
    if len(shown) == parsed.limit and next(found, None) is not None:
        command.say(
            f"There are more than these {parsed.limit}: go on with --marker {shown[-1].id}, or "
            "list all with --limit 0."
        )
    return shown


def every(
    network: typing.Any, model: typing.Any, **asked: typing.Any
) -> collections.abc.Iterator[typing.Any]:
    """Yield all rows that the API has, asking for a page at a time."""
    found: collections.abc.Iterator[typing.Any] = model.list(network, limit=PAGE, **asked)
    return found


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """What is shown of the resources of one kind, and asked about them."""

    model: typing.Any
    filters: tuple[Filter, ...]
    sort_keys: tuple[str, ...]
    columns: dict[str, str]  #: header -> attribute
    long_columns: dict[str, str]  #: with ``--long`` as well

    @property
    def all(self) -> tuple[str, ...]:
        """Return every attribute, in the order in which ``show`` has them."""
        return tuple(sorted((*self.columns.values(), *self.long_columns.values())))


class ListCommand(errors.Networked, command.Lister):
    """Lists resources of one kind."""

    shown: typing.ClassVar[Shown]

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of its options."""
        parser = super().get_parser(prog_name)
        add_filters(parser, self.shown.filters)
        add_paging(parser, self.shown.sort_keys)
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], collections.abc.Iterable[tuple[typing.Any, ...]]]:
        """Return headers and rows."""
        shown = self.shown
        columns = shown.columns | (shown.long_columns if parsed_args.long else {})
        wanted = query(self, parsed_args, shown.filters) | {"fields": list(columns.values())}
        found = page(self, shown.model, parsed_args, wanted)
        return tuple(columns), [fields.row(columns.values(), one) for one in found]


class ShowCommand(errors.Networked, command.ShowOne):
    """Shows one resource of a kind."""

    shown: typing.ClassVar[Shown]

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of its options."""
        parser = super().get_parser(prog_name)
        parser.add_argument("id", metavar=f"<{self.shown.model.resource_key}>", help="Its ID")
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], tuple[typing.Any, ...]]:
        """Return names and values."""
        found = self.shown.model.new(id=parsed_args.id).fetch(self.network)
        return self.shown.all, fields.row(self.shown.all, found)
