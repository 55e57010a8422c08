# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The text of ``docs/conformance.md``."""

import collections.abc

from lab.conformance import suites
from lab.conformance.comparison import Compared, Counts, Differing
from lab.conformance.differences import Difference

_INTRODUCTION = """\
<!-- written by `make conformance` from its results; do not edit -->
# Conformance

Neutron's own unit suites, from the installed Neutron {version}, run twice: on stock ML2 and on this
plugin. `make conformance` runs them, two processes at a time. It goes on where it was interrupted,
writes `build/conformance/stock.json`, `ours.json` and `at-once.json` and this page, and fails if a
test that ends otherwise than on stock is not explained here.

- The suites are not changed. Where one sets `core_plugin`, Neutron's manager loads this plugin for
  the name `ml2` (`lab/conformance/plugins.py`). Core plugins that were made for tests alone are
  replaced by ML2 in both runs, so that stock and this plugin are compared on equal terms:
{replaced}
- The suites' database is SQLite in memory; it has the journal's tables, too.
- Drivers and service plugins that are made for tests are let in: the plugin's check of names at
  start is off, and a router plugin that is not OVN's is left alone.
- No conductor runs. So no driver is called after a commit, and the suites see the API call alone.
- Each test that ends otherwise is run a third time on this plugin with every driver called inside
  the API call. If it then ends as on stock, the time of the driver's call is all that differs.

Not among the suites are those that load neither ML2 nor a plugin in whose place ML2 could be; those
that do not come through the core plugin are counted below, and tell of this plugin only that it
does them no harm.

## Counts

`through` tests loaded the core plugin. `passed`, `skipped` and `failed` are the same on both (what
fails on both expects the plugin that ML2 replaced). `time` differs by the time of a driver's call
alone, `other` differs otherwise.

"""

_HEADER = tuple(Counts._fields)


def text(compared: Compared, version: str) -> str:
    """Return the whole page."""
    replaced = "\n".join(f"  `{name}`" for name in sorted(suites.REPLACED))
    lines = [_INTRODUCTION.format(version=version, replaced=replaced) + _row("module", _titles())]
    lines.append("|---|" + "---|" * len(_HEADER))
    rows = [(module, compared.counts(module)) for module in suites.MODULES]
    lines += [_row(f"`{module}`", counts) for module, counts in rows]
    lines += [_row("all", [sum(column) for column in zip(*(c for _, c in rows), strict=True)])]
    for is_time_only, title in (
        (True, "## Only the time differs"),
        (False, "## Other differences"),
    ):
        lines += ["", title]
        for explanation in compared.explanations:
            if explanation.is_time_only == is_time_only:
                lines += _reason(explanation, compared.of(explanation))
    return "\n".join(lines) + "\n"


def _titles() -> list[str]:
    return ["through" if name == "through_plugin" else name for name in _HEADER]


def _row(first: str, others: collections.abc.Iterable[object]) -> str:
    return f"| {first} | " + " | ".join(str(one) for one in others) + " |"


def _reason(explanation: Difference, tests: list[Differing]) -> list[str]:
    lines = ["", f"`{explanation.pattern}`: {explanation.reason}", ""]
    return [*lines, *(f"- `{one.name}`: {one.ours.outcome}" for one in tests)]
