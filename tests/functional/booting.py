# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Neutron's programs that are to end by themselves."""

import pathlib
import subprocess
import tempfile
import typing

from lab.neutron import running

#: Seconds within which they do, on a loaded machine too.
PATIENCE_S = 120


def run(
    program: str, environment: typing.Mapping[str, str], *arguments: str
) -> "subprocess.CompletedProcess[str]":
    """Run one of ``lab.neutron.forks``; return how it has ended."""
    assert running.FORKS is not None
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        out, err = path / "out", path / "err"
        places = {"folder": path, "out": out, "err": err}
        child = running.FORKS.spawn(program, arguments, environment, **places)
        status = child.wait(PATIENCE_S)
        return subprocess.CompletedProcess([program], status, out.read_text(), err.read_text())
