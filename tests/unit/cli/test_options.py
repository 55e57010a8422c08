# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Every filter of the API is an option, every attribute a column, every option has its help."""

import argparse
import importlib.metadata
import re
import typing

import pytest
from cliff import command
from openstack import resource

from networking_workflow.api import sync_state, tasks, workflows
from networking_workflow.cli import models
from networking_workflow.cli import sync_state as cli_sync_state
from networking_workflow.cli import tasks as cli_tasks
from networking_workflow.cli import workflows as cli_workflows

COMMANDS = {
    point.name.replace("_", " "): point
    for point in importlib.metadata.distribution("networking-workflow").entry_points
    if point.group == "openstack.network.v2"
}

Attributes = dict[str, dict[str, typing.Any]]


def _parser(name: str) -> argparse.ArgumentParser:
    made: command.Command = COMMANDS[name].load()(None, None)
    return made.get_parser(f"openstack {name}")


def _own(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Return the arguments that are not cliff's."""
    ours = []
    for group in parser._action_groups:
        if "ormatter" not in (group.title or ""):
            ours += [one for one in group._group_actions if one.dest not in ("help", "version")]
    return [one for one in ours if not one.dest.startswith("sort_")]


def _own_attributes(model: type[resource.Resource]) -> set[str]:
    """Return what a class says of its own, and not because every resource has it."""
    ours = [one for one in model.__mro__ if one not in resource.Resource.__mro__]
    return {name for one in ours for name in vars(one)}


@pytest.mark.parametrize(
    ("attributes", "model", "filters", "sort_keys"),
    [
        (
            *(workflows.ATTRIBUTES, models.Workflow),
            *(models.WORKFLOW_FILTERS, models.WORKFLOW_SORT_KEYS),
        ),
        (tasks.ATTRIBUTES, models.Task, models.TASK_FILTERS, models.TASK_SORT_KEYS),
    ],
)
def test_the_client_knows_every_attribute_filter_and_order_of_the_api(
    attributes: Attributes, model: typing.Any, filters: tuple[str, ...], sort_keys: tuple[str, ...]
) -> None:
    # Neutron adds its old name of project_id by itself, when it is loaded.
    known = {name: how for name, how in attributes.items() if name != "tenant_id"}
    assert set(filters) == {name for name, how in known.items() if how.get("is_filter")}
    assert set(sort_keys) == {name for name, how in known.items() if how.get("is_sort_key")}
    visible = {name for name, how in known.items() if how["is_visible"]}
    assert visible <= _own_attributes(model) | {"id", "name"}  # these two all have


@pytest.mark.parametrize(
    ("name", "filters"),
    [
        ("network workflow list", models.WORKFLOW_FILTERS),
        ("network workflow retry", models.WORKFLOW_FILTERS),
        ("network workflow skip", models.WORKFLOW_FILTERS),
        ("network workflow cancel", models.WORKFLOW_FILTERS),
        ("network task list", models.TASK_FILTERS),
    ],
)
def test_every_filter_is_an_option(name: str, filters: tuple[str, ...]) -> None:
    assert set(filters) <= {one.dest for one in _own(_parser(name)) if one.option_strings}


@pytest.mark.parametrize(
    ("shown", "attributes"),
    [
        (cli_workflows.SHOWN.all, workflows.ATTRIBUTES),
        (cli_tasks.SHOWN.all, tasks.ATTRIBUTES),
    ],
)
def test_every_attribute_is_shown(shown: tuple[str, ...], attributes: Attributes) -> None:
    visible = {name for name, how in attributes.items() if how["is_visible"]}
    assert set(shown) == visible - {"tenant_id"}  # Neutron's old name of project_id


def test_every_kind_that_shows_a_state_is_looked_at() -> None:
    kinds = cli_sync_state.KINDS.values()
    assert sorted(kind.collection for kind in kinds) == sorted(sync_state.MODELS)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_option_says_what_it_does_its_values_and_its_default(name: str) -> None:
    parser = _parser(name)
    assert re.match(r"[A-Z].*\.", parser.description or "")
    for option in _own(parser):
        help_text = option.help or ""
        assert help_text, option
        for choice in option.choices or ():
            assert choice in help_text, option
        if option.default not in (None, [], False):
            assert "default: %(default)" in help_text, option
        if option.metavar == "<seconds>":
            assert "second" in help_text, option
