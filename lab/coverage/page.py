# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The text of ``docs/coverage.md``."""

import collections
import collections.abc

from lab.coverage import accounts, loaded, proofs, story
from networking_workflow.capture import classes
from networking_workflow.model import states
from networking_workflow.plan import keys

_HEAD = "<!-- written by `make coverage` from a running plugin; do not edit -->"

_INTRODUCTION = f"""\
{_HEAD}
# Coverage

What is captured, applied and read back, and what a running Neutron has loaded that is none of it:
core plugin `ml2_workflow`, mechanism driver `ovn`, every service plugin and extension driver that
may be configured. A test fails when this page is out of date, when something that is loaded is
neither covered nor listed here, and when a test that is named here does not exist.

- [Resources](#resources): tables, keys, tasks, read-back and tests of each operation
- [Covered](#covered): calls and subscriptions whose work is a workflow's
- [Listed](#listed): what stays in the API process, with the reason
- [Tables](#tables): in which list of the class map each table is
"""

_RESOURCES = """\
## Resources

A changed row of these tables is a workflow of the resource. Keys are exclusive (X) or shared (S);
docs/keys.md says why. A workflow has one task for each driver that handles its kind: here `ovn`.
It ends in SUCCESS only when the rows that are read back are as they should be; `column:key` is a
key of a map column. The rows were noted while this plugin made, changed and deleted one of each
kind. Calls are cases of `test_every_changed_row_has_its_workflow_and_undone_every_row_is_as_before`
(`tests/functional/capture/test_operations.py` without a backend,
`tests/functional/services/test_operations.py` beside OVN); other tests are below
`tests/functional`.
"""


def text(found: loaded.Loaded, compared: story.Compared) -> str:
    """Return the whole page."""
    lines = [_INTRODUCTION, _RESOURCES]
    for kind in classes.COVERED:
        lines += _resource(kind, compared)
    lines += _covered(found)
    lines += _listed(found)
    lines += _tables()
    return "\n".join(lines) + "\n"


def _resource(kind: str, compared: story.Compared) -> list[str]:
    calls = proofs.calls_of()
    lines = [
        f"### {kind}",
        "",
        f"Keys: {_keys(kind)}.",
        "",
        "| operation | captured from | task | calls that are compared row by row |",
        "|---|---|---|---|",
    ]
    for operation in states.Operation:
        if (kind, operation) in proofs.NO_SUCH_CALL:
            lines.append(f"| {operation} | | | the API has no such call |")
            continue
        names = ", ".join(calls[kind, operation])
        lines.append(f"| {operation} | {_tables_of(kind, operation)} | `ovn` | {names} |")
    lines += ["", "Read back:", ""]
    for operation in states.Operation:
        rows = compared.get((kind, operation))
        if rows is not None:
            lines.append(f"- {operation}: {_rows(rows)}")
    tests = ", ".join(f"`{test}`" for test in (proofs.LIVES[kind], *proofs.READ_BACK[kind]))
    return [*lines, "", f"Seen in OVN: {tests}.", ""]


def _keys(kind: str) -> str:
    rule = keys.RULES[kind]
    modes = {kind: rule.own} if rule.own else {}
    modes |= {f"its {name}": mode for name, mode in rule.references.items()}
    texts = [f"{name} {mode}" for name, mode in modes.items()]
    texts += [f"{name}/<its {of}> X" for of, names in rule.extra.items() for name in names]
    texts += [f"{name}/{which} X" for name, which in rule.common]
    return ", ".join(texts)


def _tables_of(kind: str, operation: states.Operation) -> str:
    table = classes.TABLE_OF[kind]
    if operation is not states.Operation.UPDATE:
        return f"{table}"
    children = sorted(name for name, child in classes.CHILD.items() if child.kind == kind)
    noise = classes.ITSELF[table].noise
    own = f"{table} (but {', '.join(sorted(noise))})" if noise else table
    return ", ".join([own, *children, f"{classes.STANDARD_ATTRIBUTES} (description)"])


def _rows(rows: collections.abc.Mapping[str, collections.abc.Collection[str]]) -> str:
    if not rows:
        return "nothing of its own"
    return "; ".join(f"{table} ({', '.join(sorted(rows[table]))})" for table in sorted(rows))


def _covered(found: loaded.Loaded) -> list[str]:
    lines = [
        "## Covered",
        "",
        "Subscriptions that were taken back after the plugin had loaded, and calls that a manager",
        "leaves out in the API process.",
        "",
        "| subscription or call | event | the work is that of |",
        "|---|---|---|",
    ]
    for one in found.both:
        work = accounts.COVERED.get(one.what)
        if work is not None:
            name, event = one.what
            lines.append(f"| {name} | {event} | {' '.join(work)} |")
    return [*lines, ""]


def _listed(found: loaded.Loaded) -> list[str]:
    there = {one.what for one in found.both}
    lines = ["## Listed", ""]
    for reason in accounts.Reason:
        groups = [left for left in accounts.LEFT if left.reason is reason]
        lines += [f"### {str(reason).capitalize()}", ""]
        if not groups:
            lines += ["Nothing that is loaded.", ""]
        for left in groups:
            events = collections.defaultdict(list)
            for name, event in left.whats():
                if (name, event) in there:
                    events[name].append(event)
            lines += [f"Each of these {left.words}:", ""]
            lines += [f"- {name}: {', '.join(events[name])}" for name in sorted(events)]
            lines.append("")
    return lines


def _tables() -> list[str]:
    lists: dict[str, collections.abc.Iterable[str]] = {
        "a resource itself": classes.ITSELF,
        "part of a resource": classes.CHILD,
        "ignored": classes.IGNORED,
    }
    lines = [
        "## Tables",
        "",
        "Every table of Neutron's metadata is in exactly one list of",
        "`networking_workflow/capture/classes.py`",
        "(`tests/unit/capture/test_classes.py::test_every_table_is_in_exactly_one_list`);",
        "docs/tables.md says what a row of each means.",
        "",
    ]
    for name, tables in lists.items():
        lines += [f"{name.capitalize()}: {', '.join(sorted(tables))}.", ""]
    return lines[:-1]
