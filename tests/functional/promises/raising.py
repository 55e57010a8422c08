# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A mechanism driver that raises in every hook while it is told to; runs in Neutron's processes.

It is installed by a folder on ``PYTHONPATH`` that looks like an installed package's.
"""

import collections.abc
import contextlib
import os
import pathlib
import typing

from neutron_lib.plugins.ml2 import api

#: Where the driver reads what to do and writes what it did; NETWORKING_WORKFLOW_* is passed on.
ENVIRONMENT = "NETWORKING_WORKFLOW_RAISING"

#: What its errors say beside the hook; not for tenants.
SECRET = "switch-7.example.org password=hunter2"

BEFORE, AFTER = "precommit", "postcommit"


class RaisingDriver(api.MechanismDriver):
    """Writes down the hooks that went through after the commit."""

    def initialize(self) -> None:
        self._folder = pathlib.Path(os.environ[ENVIRONMENT])

    def bind_port(self, context: typing.Any) -> None:
        self._raise_if_told("bind_port", AFTER)

    def _raise_if_told(self, hook: str, when: str) -> None:
        told = self._folder / "raise"
        if told.exists() and told.read_text() == when:
            raise RuntimeError(f"{hook}: {SECRET}")

    def _hook(self, hook: str, context: typing.Any) -> None:
        when = hook.rpartition("_")[2]
        self._raise_if_told(hook, when)
        if when == AFTER:
            with (self._folder / "done").open("a") as done:
                done.write(f"{hook} {context.current['id']}\n")


def _hook_named(hook: str) -> typing.Callable[[RaisingDriver, typing.Any], None]:
    return lambda self, context: self._hook(hook, context)


for _kind in ("network", "subnet", "port"):
    for _operation in ("create", "update", "delete"):
        for _when in (BEFORE, AFTER):
            _name = f"{_operation}_{_kind}_{_when}"
            setattr(RaisingDriver, _name, _hook_named(_name))


class Switch:
    """The test's end of the driver."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        package = folder / "raising-1.0.dist-info"
        package.mkdir()
        (package / "METADATA").write_text("Metadata-Version: 2.1\nName: raising\nVersion: 1.0\n")
        (package / "entry_points.txt").write_text(
            f"[neutron.ml2.mechanism_drivers]\nraising = {__name__}:RaisingDriver\n"
        )

    def environment(self, python_path: pathlib.Path) -> dict[str, str]:
        """Return what a process needs that is to have the driver."""
        path = os.pathsep.join((str(python_path), str(self._folder)))
        return {ENVIRONMENT: str(self._folder), "PYTHONPATH": path}

    @contextlib.contextmanager
    def raising(self, when: str) -> collections.abc.Iterator[None]:
        """Let every hook of a kind raise within the block; ``bind_port`` is one of AFTER."""
        told = self._folder / "raise"
        told.write_text(when)
        try:
            yield
        finally:
            told.unlink()

    def done(self) -> list[str]:
        """Return hook and resource of what went through after the commit."""
        path = self._folder / "done"
        return path.read_text().splitlines() if path.exists() else []
