# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Write the pages of ``docs/`` that are tables or diagrams of the code.

``generate_docs.py`` writes them, ``generate_docs.py --check`` exits 1 if one is out of date.
"""

import pathlib
import sys
import typing

from networking_workflow.capture import classes
from networking_workflow.model import failures, states
from networking_workflow.plan import keys

DOCS = pathlib.Path(__file__).parent.parent / "docs"
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


def pages() -> dict[str, str]:
    """Return the text of each generated page by its file name."""
    return {
        "states.md": states_page(),
        "keys.md": _HEAD + "\n" + keys.as_markdown(),
        "tables.md": _HEAD + "\n" + classes.as_markdown(),
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
