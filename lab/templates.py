# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What takes seconds to make and is the same each time: made once, and copied.

The name of a template has a digest of everything that it depends on; ``make clean`` deletes all.
"""

import fcntl
import pathlib
import shutil
import typing

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "build" / "lab"


def once(template: pathlib.Path, make: typing.Callable[[], bytes | pathlib.Path]) -> bool:
    """Make a template of what ``make`` returns, unless it is there; return whether it was made.

    That is a file's content, or a folder. Who asks for the same meanwhile waits.
    """
    if template.exists():
        return False
    template.parent.mkdir(parents=True, exist_ok=True)
    with template.with_name(f"{template.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if template.exists():
            return False
        _publish(template, make())
        return True


def _publish(template: pathlib.Path, content: bytes | pathlib.Path) -> None:
    """Put it in its place in one step."""
    fresh = template.with_name(f"{template.name}.new")
    if isinstance(content, bytes):
        fresh.write_bytes(content)
    else:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(content, fresh)
    fresh.rename(template)
