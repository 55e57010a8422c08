# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Figures run from end to end and write what they found; how fast is not asked here.

One of each kind: over HTTP, in process, on the journal alone; others in ``tests/long``.
"""

import json
import pathlib
import typing

import pytest

import benchmarks.__main__

FIGURES = ("create", "capture", "claim")


def quick(name: str, folder: pathlib.Path) -> list[dict[str, typing.Any]]:
    status = benchmarks.__main__.main([name, "--quick", "--output", str(folder)])
    assert status == 0
    written: list[dict[str, typing.Any]] = json.loads((folder / f"{name}.json").read_text())
    return written


@pytest.mark.slow
@pytest.mark.parametrize("name", FIGURES)
def test_a_quick_run_writes_its_figures(name: str, tmp_path: pathlib.Path) -> None:
    for figure in quick(name, tmp_path):
        assert figure["low"] <= figure["value"] <= figure["high"], figure
        assert figure["n"] >= 1, figure
