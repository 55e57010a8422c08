# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Sync columns of the client's own ``show`` commands that show a fixed choice of columns.

They are added through cliff's hooks: entry points of the group ``openstack.cli.<command>``.
"""

import argparse
import typing

from cliff import hooks
from openstack import exceptions

from networking_workflow.cli import sync_state

_COLUMNS = ("sync_error", "sync_state", "sync_updated_at")


class SyncColumns(hooks.CommandHook):
    """Of the one resource that the command shows; nothing where the cloud has no such fields."""

    def get_parser(self, parser: argparse.ArgumentParser) -> None:
        """Leave its options alone."""

    def get_epilog(self) -> str:
        """Add nothing to its help."""
        return ""

    def before(self, parsed_args: argparse.Namespace) -> argparse.Namespace:
        """Leave its arguments alone."""
        return parsed_args

    def after(self, _parsed_args: argparse.Namespace, shown: typing.Any) -> typing.Any:
        """Return the names and values with those of the backend, in order.

        :raises openstack.exceptions.HttpException: if the resource cannot be read once more.
        """
        values = dict(zip(*shown, strict=True))
        if set(_COLUMNS) <= set(values):
            return shown
        values |= self._state(values["id"])
        return tuple(sorted(values)), tuple(values[name] for name in sorted(values))

    def _state(self, resource_id: str) -> dict[str, typing.Any]:
        """Return what the API says of its backend; empty: it says nothing."""
        kind = sync_state.KINDS[str(self.cmd.cmd_name).removesuffix(" show").replace(" ", "_")]
        app: typing.Any = self.cmd.app
        network = app.client_manager.network
        answer = network.get(f"{kind.path}/{resource_id}", params={"fields": _COLUMNS})
        exceptions.raise_from_response(answer)
        (resource,) = answer.json().values()
        return {name: resource[name] for name in _COLUMNS if name in resource}
