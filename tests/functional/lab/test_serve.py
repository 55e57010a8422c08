# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``make serve``: what it prints works as it is printed."""

import collections.abc
import contextlib
import os
import signal
import subprocess
import sys

from lab.serve import __main__ as serve


@contextlib.contextmanager
def serving() -> collections.abc.Iterator[list[str]]:
    """Run it; give the lines that it printed once it serves; stop it as Ctrl-C does."""
    command = [sys.executable, "-m", "lab.serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines: list[str] = []
        try:
            for line in process.stdout:
                lines.append(line.rstrip("\n"))
                if "Ctrl-C" in line:
                    break
            yield lines
        finally:
            process.send_signal(signal.SIGINT)
            rest = process.stdout.read()
    assert process.returncode == 0, lines
    assert rest == "Stopping everything.\n"


def run(script: str) -> str:
    """Return what a shell prints for ``script``; it ends at the first command that fails."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
    ended = subprocess.run(
        ["/bin/bash", "-e", "-c", script],
        env=clean,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, f"{script}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


def test_every_line_that_it_prints_works_as_printed() -> None:
    with serving() as lines:
        (export,) = [line for line in lines if line.startswith("export ")]
        commands = [line for line in lines if line.startswith("openstack ")]
        assert commands == [*serve.COMMANDS, *serve.BEHIND]
        assert len(serve.COMMANDS) == 10
        port = commands.index("openstack port list --network web")
        run("\n".join([export, *commands[:port]]))
        assert "web-one" in run(f"{export}\n{commands[port]}")
        said = run("\n".join([export, *commands[port + 1 :]]))
    for word in ("Operation", "Driver", "Sync State"):
        assert word in said
