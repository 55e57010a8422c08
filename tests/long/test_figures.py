# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The figures of lanes and of the API run from end to end, too; how fast is not asked here."""

import pathlib

import pytest

from tests.functional.benchmarks import test_quick


@pytest.mark.slow
@pytest.mark.parametrize("name", ["binding", "lanes", "lists", "pages", "waits"])
def test_a_quick_run_writes_its_figures(name: str, tmp_path: pathlib.Path) -> None:
    test_quick.test_a_quick_run_writes_its_figures(name, tmp_path)
