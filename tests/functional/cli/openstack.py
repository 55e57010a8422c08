# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``openstack`` as tests run it: alone, forked, many in one process, on a terminal."""

import contextlib
import dataclasses
import json
import os
import pathlib
import pty
import select
import subprocess
import sys
import typing

from lab.neutron import identity

PROGRAM = pathlib.Path(sys.executable).parent / "openstack"

#: Seconds within which a command ends, on a loaded machine too.
PATIENCE_S = 120


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    status: int
    out: str
    err: str

    @property
    def json(self) -> typing.Any:
        """Return what ``-f json`` printed."""
        assert self.status == 0, self
        return json.loads(self.out)


class Forks:
    """A process that has imported everything, and forks one more for each command."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.functional.cli.forking"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=_clean(),
        )

    def run(self, arguments: list[str], environment: dict[str, str]) -> Ended:
        """Run one command."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        command = {"arguments": arguments, "environment": environment}
        process.stdin.write(json.dumps(command) + "\n")
        process.stdin.flush()
        return Ended(**json.loads(process.stdout.readline()))

    def close(self) -> None:
        self._process.communicate(timeout=PATIENCE_S)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class OpenStack:
    """The command line of one caller: an administrator, or a member of a project."""

    url: str
    forks: Forks
    project_id: str | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Return how the command line learns who calls whom."""
        if self.project_id is None:
            return {"OS_AUTH_TYPE": "none", "OS_ENDPOINT": self.url}
        token = identity.token(self.project_id)
        return {"OS_AUTH_TYPE": "admin_token", "OS_ENDPOINT": self.url, "OS_TOKEN": token}

    def __call__(self, *arguments: str) -> Ended:
        """Run one command; there is no terminal."""
        return self.forks.run(list(arguments), self.environment)

    def json(self, *arguments: str) -> typing.Any:
        """Return what a command prints with ``-f json``."""
        return self(*arguments, "-f", "json").json

    def batch(self, *lines: str) -> list[typing.Any]:
        """Return what commands print with ``-f json`` that one process reads from its input."""
        ended = subprocess.run(
            [PROGRAM],
            input="".join(f"{line} -f json\n" for line in lines),
            capture_output=True,
            text=True,
            env=_clean() | self.environment,
            timeout=PATIENCE_S,
            check=False,
        )
        assert ended.stderr == "", ended
        decoder, rest, found = json.JSONDecoder(), ended.stdout.lstrip(), []
        while rest:
            one, end = decoder.raw_decode(rest)
            found.append(one)
            rest = rest[end:].lstrip()
        assert len(found) == len(lines), ended
        return found

    @contextlib.contextmanager
    def running(self, *arguments: str) -> typing.Iterator["subprocess.Popen[str]"]:
        """Lend the program while it runs a command."""
        with subprocess.Popen(
            [PROGRAM, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=_clean() | self.environment,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    @contextlib.contextmanager
    def on_terminal(self, *arguments: str) -> typing.Iterator["Terminal"]:
        """Lend a terminal on which the program runs a command."""
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            [PROGRAM, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=_clean() | self.environment | {"TERM": "xterm"},
        ) as process:
            os.close(theirs)
            try:
                yield Terminal(process, ours)
            finally:
                process.kill()
                os.close(ours)


class Terminal:
    """What a command shows on a terminal, and what is typed there."""

    def __init__(self, process: "subprocess.Popen[bytes]", descriptor: int) -> None:
        self._process, self._descriptor = process, descriptor
        self.shown = ""

    def read_until(self, text: str) -> None:
        """Read until a text is shown."""
        while text not in self.shown:
            assert self._read(), f"{text!r} was not shown, but {self.shown!r}"

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    def end(self) -> int:
        """Read to the end; return the exit status."""
        while self._read():
            pass
        return self._process.wait(PATIENCE_S)

    def _read(self) -> bool:
        readable, _, _ = select.select([self._descriptor], [], [], PATIENCE_S)
        assert readable, f"nothing more was shown than {self.shown!r}"
        try:
            some = os.read(self._descriptor, 65536)
        except OSError:  # the program has ended
            return False
        self.shown += some.decode()
        return bool(some)


def _clean() -> dict[str, str]:
    """Return the environment without what would say which cloud is meant."""
    return {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
