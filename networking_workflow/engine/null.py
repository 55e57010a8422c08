# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A persistence backend that keeps nothing: the journal's task rows are the only truth.

TaskFlow writes flow and atom details at every turn of its state machine. What a conductor must
remember is written by the tasks themselves, in the journal, so these writes are dropped, and the
objects are handed back as they came. One instance serves any number of engines and threads.
"""

import typing

import typing_extensions
from taskflow import exceptions
from taskflow.persistence import base


class NullBackend(base.Backend):
    """Where details go to be forgotten."""

    def __init__(self) -> None:
        super().__init__({})
        self._connection = NullConnection(self)

    def get_connection(self) -> "NullConnection":
        """Return the one connection; it has no state."""
        return self._connection

    def close(self) -> None:
        """Nothing is open."""


class NullConnection(base.Connection):
    """Answers every write with what it was given, and every look-up with "not found"."""

    def __init__(self, backend: NullBackend) -> None:
        self._backend = backend

    @property
    def backend(self) -> NullBackend:
        """Return the backend that made it."""
        return self._backend

    def close(self) -> None:
        """Nothing is open."""

    def upgrade(self) -> None:
        """There is no schema."""

    def clear_all(self) -> None:
        """There is nothing to clear."""

    def validate(self) -> None:
        """It is always fit for use."""

    def update_atom_details(self, atom_detail: typing.Any) -> typing.Any:
        """Return ``atom_detail`` as it is."""
        return atom_detail

    def update_flow_details(self, flow_detail: typing.Any) -> typing.Any:
        """Return ``flow_detail`` as it is."""
        return flow_detail

    def save_logbook(self, book: typing.Any) -> None:
        """Keep nothing."""

    def destroy_logbook(self, book_uuid: str) -> None:
        """There is nothing to destroy."""

    @typing_extensions.override
    def get_logbook(self, book_uuid: str, lazy: bool = False) -> typing.Any:
        """Raise ``NotFound``: no book was kept."""
        raise exceptions.NotFound(f"No logbook {book_uuid}: this backend keeps nothing.")

    @typing_extensions.override
    def get_logbooks(self, lazy: bool = False) -> typing.Iterator[typing.Any]:
        """Return no logbooks."""
        return iter(())

    @typing_extensions.override
    def get_flows_for_book(self, book_uuid: str) -> typing.Iterator[typing.Any]:
        """Return no flows."""
        return iter(())

    @typing_extensions.override
    def get_flow_details(self, fd_uuid: str, lazy: bool = False) -> typing.Any:
        """Raise ``NotFound``: no flow was kept."""
        raise exceptions.NotFound(f"No flow {fd_uuid}: this backend keeps nothing.")

    def get_atom_details(self, ad_uuid: str) -> typing.Any:
        """Raise ``NotFound``: no atom was kept."""
        raise exceptions.NotFound(f"No atom {ad_uuid}: this backend keeps nothing.")

    @typing_extensions.override
    def get_atoms_for_flow(self, fd_uuid: str) -> typing.Iterator[typing.Any]:
        """Return no atoms."""
        return iter(())
