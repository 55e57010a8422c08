# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``docs/configuration.md``: ``python -m networking_workflow.conf.reference > FILE`` writes it."""

import sys

from oslo_config import cfg

from networking_workflow.conf import workflow

_HEAD = f"""# Configuration

Options of the group `[{workflow.GROUP}]`, in any configuration file that neutron-api and
neutron-workflow-conductor read. A wrong value, or an option that does not exist, keeps the process
from starting. A sample file: `oslo-config-generator --namespace networking_workflow`.

This page is written by `python -m networking_workflow.conf.reference`.
"""


def markdown() -> str:
    """Return the whole document."""
    return "\n".join([_HEAD, *(_section(option) for option in workflow.OPTIONS)])


def _section(option: cfg.Opt) -> str:
    default = f"`{option.default}`" if option.default != "" else "empty"
    allowed = workflow.allowed(option)
    return f"## {option.name}\n\n{option.help}\n\nDefault: {default}. Allowed: {allowed}.\n"


if __name__ == "__main__":
    sys.stdout.write(markdown())
