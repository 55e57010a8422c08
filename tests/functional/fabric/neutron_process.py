# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Neutron's core plugin in a process of its own, with the fabric; see ``testing.neutron``."""

import contextlib
import pathlib
import typing

from networking_workflow.testing import neutron
from networking_workflow.testing.neutron import Neutron

__all__ = ["Neutron", "running"]


@contextlib.contextmanager
def running(
    folder: pathlib.Path,
    *,
    mechanism_drivers: str,
    fabric_url: str = "",
    fabric_timeout_s: float = 10.0,
    core_plugin: str = "ml2",
) -> typing.Iterator[Neutron]:
    """Run Neutron with these mechanism drivers until the block ends; its log is in ``folder``."""
    fabric = f"[fabric]\nurl = {fabric_url}\ntimeout_s = {fabric_timeout_s}\n"
    with neutron.running(
        folder,
        mechanism_drivers=mechanism_drivers,
        core_plugin=core_plugin,
        configuration=fabric,
    ) as process:
        yield process
