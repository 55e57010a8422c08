# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``openstack`` as one process a command, without two seconds of imports and plugins each.

``python -m tests.functional.cli.forking`` reads a command a line (JSON), runs it in a child that it
forks, and writes what came of it. The child is what ``openstack`` is after its imports.
"""

import contextlib
import json
import logging
import os
import pathlib
import sys
import tempfile
import typing

from openstack.network.v2 import _proxy  # noqa: F401 - imported before the fork
from openstackclient import shell


def main() -> None:
    """Serve until standard input ends."""
    _warm_up()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_ended(json.loads(line))) + "\n")
        sys.stdout.flush()


def _warm_up() -> None:
    """Load all plugins, with a command that ends before it asks anybody anything."""
    with (
        pathlib.Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stderr(nowhere),
        contextlib.suppress(SystemExit),
    ):
        shell.main(["network", "workflow", "list", "--limit", "none"])
    logging.getLogger().handlers.clear()  # they write to what is closed now


def _ended(command: dict[str, typing.Any]) -> dict[str, typing.Any]:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if not child:
            _be_openstack(command, out.fileno(), err.fileno())
        _, status = os.waitpid(child, 0)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode())
    return {"status": os.waitstatus_to_exitcode(status), "out": texts[0], "err": texts[1]}


def _be_openstack(command: dict[str, typing.Any], out: int, err: int) -> typing.NoReturn:
    for ours, theirs in ((os.open(os.devnull, os.O_RDONLY), 0), (out, 1), (err, 2)):
        os.dup2(ours, theirs)
    os.environ.update(command["environment"])
    status: int | str | None = 1
    try:
        status = shell.main(command["arguments"])
    except SystemExit as end:  # argparse
        status = end.code
    finally:
        sys.stdout.flush()
        os._exit(status if isinstance(status, int) else 1)


if __name__ == "__main__":
    main()
