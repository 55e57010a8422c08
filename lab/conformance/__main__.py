# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Runs the suites on stock and on this plugin, compares, and writes ``docs/conformance.md``.

Long, and resumable: what has a result is not run again, unless what it was run on has changed.
Exits 1 if a test has no result, a difference no explanation, or an explanation no difference.
"""

import argparse
import collections.abc
import json
import os
import pathlib
import subprocess
import sys

from lab.conformance import comparison, differences, page, results, sources, suites
from lab.conformance.variants import Variant

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "conformance"
PAGE = ROOT / "docs" / "conformance.md"

#: A test that takes longer fails; Neutron's own base class reads it. A busy machine needs
#: a few seconds for most.
TEST_TIMEOUT_S = "300"


def run(
    folder: pathlib.Path,
    variant: Variant,
    modules: collections.abc.Sequence[str],
    processes: int,
    only: pathlib.Path | None = None,
) -> bool:
    """Run what has no result yet; return whether every process has come to its end."""
    sources.forget_what_is_old(folder, variant)
    workers = []
    for share in range(processes):
        command = [sys.executable, "-m", "lab.conformance.worker", variant, str(folder)]
        command += [f"--share={share}", f"--shares={processes}"]
        command += [f"--module={module}" for module in modules]
        command += [f"--only={only}"] if only else []
        log = (folder / f"{variant}.{share}.log").open("ab")
        workers.append(
            subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, "OS_TEST_TIMEOUT": TEST_TIMEOUT_S},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        )
        log.close()
    return not any([worker.wait() for worker in workers])


def main() -> int:
    """Run, compare, say what was found."""
    parser = argparse.ArgumentParser(prog="python -m lab.conformance", description=__doc__)
    parser.add_argument("--processes", type=int, default=2, help="at a time (default: %(default)s)")
    parser.add_argument(
        "--module",
        action="append",
        choices=suites.MODULES,
        metavar="NAME",
        help="only this one, below neutron.tests.unit; the page is not written",
    )
    options = parser.parse_args()
    modules = options.module or suites.MODULES
    FOLDER.mkdir(parents=True, exist_ok=True)
    for variant in (Variant.STOCK, Variant.OURS):
        print(f"{variant}: {len(modules)} modules", flush=True)
        if not run(FOLDER, variant, modules, options.processes):
            print(f"{variant} broke off; see {FOLDER}. The same command goes on from there.")
            return 1
    stock, ours = (_of(modules, variant) for variant in (Variant.STOCK, Variant.OURS))
    differing = FOLDER / "differing.json"
    differing.write_text(json.dumps(comparison.differing(stock, ours)))
    print(f"{Variant.AT_ONCE}: what differs, with the drivers called in the call", flush=True)
    if not run(FOLDER, Variant.AT_ONCE, modules, options.processes, differing):
        print(f"{Variant.AT_ONCE} broke off; see {FOLDER}.")
        return 1
    at_once = _of(modules, Variant.AT_ONCE)
    compared = comparison.compare(stock, ours, at_once, differences.DIFFERENCES)
    for complaint in compared.complaints(every_suite=not options.module):
        print(complaint)
    print(compared.summary())
    if not options.module:
        PAGE.write_text(page.text(compared, sources.neutron_version()))
    return 0 if compared.is_explained(every_suite=not options.module) else 1


def _of(modules: collections.abc.Iterable[str], variant: Variant) -> dict[str, results.Result]:
    """Return the results of these modules, and write them as one file."""
    found = results.read(FOLDER, variant)
    mine = {
        id_: result
        for id_, result in sorted(found.items())
        if any(id_.startswith(f"{suites.PACKAGE}{module}.") for module in modules)
    }
    results.write(FOLDER / f"{variant}.json", mine)
    return mine


if __name__ == "__main__":
    sys.exit(main())
