# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The pages of docs/ that are tables of the code say what the code says."""

import pathlib
import subprocess
import sys

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


def test_generated_pages_are_those_of_todays_code():
    done = subprocess.run(
        [sys.executable, REPOSITORY / "scripts" / "generate_docs.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_example_of_a_driver_is_shown_whole_and_is_as_short_as_promised():
    page = (REPOSITORY / "docs" / "drivers.md").read_text()
    promise = "## A driver of your own in under 100 lines\n"
    code = page.split(promise)[1].split("```python\n")[1].split("```\n")[0]
    assert "class FabricMechanismDriver" in code
    assert len(code.splitlines()) < 100
