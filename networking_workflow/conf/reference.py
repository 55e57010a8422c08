# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``docs/configuration.md``: ``python -m networking_workflow.conf.reference > FILE`` writes it."""

import sys
import typing

from oslo_config import cfg

from networking_workflow.conf import drivers, workflow

_HEAD = f"""# Configuration

Options of the group `[{workflow.GROUP}]`, in any configuration file that neutron-api and
neutron-workflow-conductor read. A wrong value, or an option that does not exist, keeps the process
from starting. A sample file: `oslo-config-generator --namespace networking_workflow`.

This page is written by `python -m networking_workflow.conf.reference`.
"""


_OF_DRIVERS = f"""# Of one driver

Options of the group `[{drivers.GROUP}]`, for example `[{drivers.PREFIX}fabric]`: one of
`[ml2] mechanism_drivers` by its name there. What they do, and what to set for slow hardware:
[operators.md](operators.md#slow-drivers). A group of a driver that is not configured, and an option
that does not exist, keep the process from starting. The sample file has no such group.
"""


def markdown() -> str:
    """Return the whole document."""
    common = [_section(option) for option in workflow.OPTIONS]
    own = [_section(option) for option in drivers.OPTIONS]
    return "\n".join([_HEAD, *common, _OF_DRIVERS, *own])


def _default(value: typing.Any) -> str:
    if value is None:
        return "unset"
    return f"`{value}`" if value not in ("", []) else "empty"


def _section(option: cfg.Opt) -> str:
    default, allowed = _default(option.default), workflow.allowed(option)
    return f"## {option.name}\n\n{option.help}\n\nDefault: {default}. Allowed: {allowed}.\n"


if __name__ == "__main__":
    sys.stdout.write(markdown())
