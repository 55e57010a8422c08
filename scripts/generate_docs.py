# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Write the pages of ``docs/`` that are tables or diagrams of the code.

``generate_docs.py`` writes them, ``generate_docs.py --check`` exits 1 if one is out of date.
"""

import pathlib
import re
import sys
import typing

from networking_workflow.capture import classes
from networking_workflow.model import failures, states
from networking_workflow.plan import keys

REPOSITORY = pathlib.Path(__file__).parent.parent
DOCS = REPOSITORY / "docs"
_HEAD = "<!-- written by scripts/generate_docs.py from the code; do not edit -->\n"


def _diagram(moves: typing.Iterable[tuple[str, str]]) -> list[str]:
    arrows = [f"    {before} --> {after}" for before, after in sorted(moves)]
    return ["```mermaid", "stateDiagram-v2", *arrows, "```", ""]


def states_page() -> str:
    """Return the states of workflows, tasks and resources and their legal moves."""
    lines = [
        _HEAD,
        "# States",
        "",
        "One enum and one table of legal moves each (`networking_workflow/model/states.py`); the",
        "database refuses any other value.",
        "",
        "## Workflow",
        "",
        *_diagram(states.WORKFLOW_MOVES),
        "Holding its keys: " + ", ".join(sorted(states.HOLDING)) + ".",
        "",
        "Final: " + ", ".join(sorted(states.FINAL)) + ".",
        "",
        "## Task",
        "",
        *_diagram(states.TASK_MOVES),
        "## sync_state, from best to worst",
        "",
        *[f"- `{state}`" for state in states.SyncState],
        "",
        "## What a tenant reads when a task fails",
        "",
        "| code | text |",
        "|---|---|",
        *[f"| `{code}` | {failures.TENANT_TEXT[code]} |" for code in failures.FailureCode],
        "",
    ]
    return "\n".join(lines)


def keys_page() -> str:
    """Return which keys a workflow of each resource type takes."""
    lines = [
        _HEAD,
        "# Keys",
        "",
        "What a workflow holds while it is unfinished (`networking_workflow/plan/keys.py`): X is",
        "exclusive (it changes it), S is shared (it relies on it). Where an update moves a",
        "reference, the old and the new one are taken.",
        "",
        "| workflow of | itself | refers to | also |",
        "|---|---|---|---|",
    ]
    for kind, rule in keys.RULES.items():
        references = ", ".join(f"{name} {mode}" for name, mode in rule.references.items())
        extra = ", ".join(
            [
                f"`{name}/<{reference}>` X"
                for reference, names in rule.extra.items()
                for name in names
            ]
            + [f"`{name}/{which}` X" for name, which in rule.common]
        )
        lines.append(f"| {kind} | {rule.own} | {references} | {extra} |")
    return "\n".join([*lines, ""])


def tables_page() -> str:
    """Return what a changed row of each of Neutron's tables means."""
    lines = [
        _HEAD,
        "# Neutron's tables",
        "",
        "What a changed row means to capture (`networking_workflow/capture/classes.py`).",
        "Covered now: " + ", ".join(classes.COVERED) + ".",
        "",
        "## A resource itself",
        "",
        "| table | resource | columns that backends write themselves |",
        "|---|---|---|",
    ]
    for table, entry in sorted(classes.ITSELF.items()):
        lines.append(f"| {table} | {entry.kind} | {', '.join(sorted(entry.noise))} |")
    lines += ["", "## Part of a resource", "", "| table | resource | by column |", "|---|---|---|"]
    for table, child in sorted(classes.CHILD.items()):
        lines.append(f"| {table} | {child.kind} | {child.column} |")
    lines += ["", "## Ignored", "", ", ".join(sorted(classes.IGNORED)) + ".", ""]
    return "\n".join(lines)


_CODE = re.compile(r"<!-- from (\S+) -->\n.*?<!-- end -->", re.DOTALL)


def _code(found: re.Match[str]) -> str:
    """Return a file of Python as a page shows it: without its licence and its docstring."""
    text = (REPOSITORY / found[1]).read_text()
    _, _, code = text.split('"""', 2)
    return f"<!-- from {found[1]} -->\n```python\n{code.strip()}\n```\n<!-- end -->"


def drivers_page() -> str:
    """Return the page for driver authors with the code that it names as that is today."""
    return _CODE.sub(_code, (DOCS / "drivers.md").read_text())


def pages() -> dict[str, str]:
    """Return the text of each generated page by its file name."""
    return {
        "states.md": states_page(),
        "keys.md": keys_page(),
        "tables.md": tables_page(),
        "drivers.md": drivers_page(),
    }


def main() -> int:
    """Write or check every page; return the exit status."""
    stale = []
    for name, text in pages().items():
        path = DOCS / name
        if "--check" not in sys.argv:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            stale.append(name)
    if stale:
        sys.stderr.write(f"Out of date: {', '.join(stale)}. Run `make docs`.\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
