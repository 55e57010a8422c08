# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``python -m benchmarks [figure ...]``: measure, write the JSON files, print the table."""

import argparse
import contextlib
import functools
import os
import pathlib
import sys
import typing

from benchmarks import (
    apply,
    binding,
    bulk,
    capture,
    claim,
    create,
    crowd,
    drain,
    fabric,
    fanout,
    figures,
    first_task,
    lanes,
    lists,
    ovn,
    pages,
    waits,
)
from lab.databases import pool

#: In the order of the table.
FIGURES: dict[str, typing.Callable[[figures.Scale, pool.Pool], list[figures.Figure]]] = {
    "create": create.run,
    "fabric": fabric.run,
    "binding": binding.run,
    "ovn": ovn.run,
    "first-task": first_task.run,
    "capture": capture.run,
    "claim": claim.run,
    "bulk": bulk.run,
    "crowd": crowd.run,
    "drain": drain.run,
    "apply": apply.run,
    "fanout": fanout.run,
    "lanes": lanes.run,
    "lists": lists.run,
    "pages": pages.run,
    "waits": waits.run,
}

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "build" / "bench"


def main(argv: typing.Sequence[str] | None = None) -> int:
    """Return 1 if a goal was missed, else 0; a quick run misses none, since it shows none."""
    arguments = _arguments(argv)
    scale = figures.QUICK if arguments.quick else figures.Scale(turns=arguments.turns)
    found: list[figures.Figure] = []
    for name in arguments.figures or FIGURES:
        _say(f"measuring: {name} (load average {os.getloadavg()[0]:.1f})")
        with contextlib.closing(pool.Pool()) as databases:
            measured = figures.measured(functools.partial(FIGURES[name], scale, databases))
        _say(f"written: {figures.write(arguments.output, name, measured)}")
        found += measured
    print(f"\n{figures.table(found)}")
    return 1 if not arguments.quick and any(figure.holds is False for figure in found) else 0


def _arguments(argv: typing.Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure what the journal costs and buys; exit 1 if a goal is missed.",
    )
    parser.add_argument(
        "figures",
        metavar="<figure>",
        nargs="*",
        choices=[[], *FIGURES],
        help=f"What to measure: {', '.join(FIGURES)} (default: all of them)",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="Run a few turns only, to see that everything runs; the figures mean nothing",
    )
    parser.add_argument(
        "--turns",
        metavar="<number>",
        type=int,
        help="Pairs of every figure; below 30 no goal counts as met (default: 40 to 400)",
    )
    parser.add_argument(
        "--output",
        metavar="<folder>",
        type=pathlib.Path,
        default=FOLDER,
        help="Folder for the JSON files, one a figure (default: build/bench)",
    )
    return parser.parse_args(argv)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
