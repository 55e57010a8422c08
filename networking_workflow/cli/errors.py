# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What a command says when the API says no: what happened, what it means, what to do."""

import argparse
import typing

from openstack import exceptions as sdk_exceptions
from osc_lib import exceptions
from osc_lib.command import command

#: The API extension that all of this needs.
EXTENSION = "workflow"

_ABSENT = (
    f"This network service keeps no workflows: it has no API extension {EXTENSION!r}. It comes "
    "with core_plugin = ml2_workflow of networking-workflow, which the cloud's operators choose."
)

#: By status: what it means, after the API's own words.
_MEANS = {
    403: "Administrators may do this, unless the cloud's policies say otherwise.",
    404: "It is not there, it is another project's, or it ended so long ago that it was deleted.",
}


class Networked(command.Command):
    """A command that asks the network service."""

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run it.

        :raises CommandError: with what the API said, in clear words.
        """
        try:
            return super().run(parsed_args)
        except sdk_exceptions.HttpException as error:
            raise self.clear(error) from error

    @property
    def network(self) -> typing.Any:
        """Return openstacksdk's proxy of the network service."""
        clients: typing.Any = self.app.client_manager
        return clients.network

    def say(self, text: str) -> None:
        """Tell what is no part of the result, on stderr."""
        self.app.stderr.write(f"{text}\n")

    def clear(self, error: typing.Any) -> exceptions.CommandError:
        """Return an error of the API in clear words."""
        if error.status_code in (400, 404) and self._extension_is_absent():
            return exceptions.CommandError(_ABSENT)
        return exceptions.CommandError(words(error))

    def served(self) -> set[str]:
        """Return the aliases of the API extensions that there are.

        :raises CommandError: if ours is not among them.
        """
        aliases = {one.alias for one in self.network.extensions()}
        if EXTENSION not in aliases:
            raise exceptions.CommandError(_ABSENT)
        return aliases

    def _extension_is_absent(self) -> bool:
        status: int = self.network.get(f"/extensions/{EXTENSION}").status_code
        return status == 404


def words(error: typing.Any) -> str:
    """Return what an error of the API says and means."""
    said = str(error.details or error).strip().removesuffix(".")
    return " ".join(filter(None, (f"{said}.", _MEANS.get(error.status_code))))
