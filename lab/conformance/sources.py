# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What results were made from: when that has changed, they are run again."""

import hashlib
import importlib.metadata
import pathlib

from lab.conformance import results
from lab.conformance.variants import Variant

_ROOT = pathlib.Path(__file__).resolve().parents[2]

#: What decides how a test is run, for stock too.
_RUNNER = ("plugins.py", "suites.py", "worker.py")


def neutron_version() -> str:
    """Return the version of the installed Neutron, whose tests these are."""
    return importlib.metadata.version("neutron")


def digest(variant: Variant) -> str:
    """Return a digest of all code of ours that a variant's results depend on."""
    made_from = hashlib.sha256(neutron_version().encode())
    files = [_ROOT / "lab" / "conformance" / name for name in _RUNNER]
    if variant is not Variant.STOCK:
        files += sorted((_ROOT / "networking_workflow").rglob("*.py"))
    for file in files:
        made_from.update(file.read_bytes())
    return made_from.hexdigest()


def forget_what_is_old(folder: pathlib.Path, variant: Variant) -> None:
    """Delete a variant's results if they were made from something else."""
    note = folder / f"{variant}.made-from"
    now = digest(variant)
    if not note.exists() or note.read_text() != now:
        results.delete(folder, variant)
        note.write_text(now)
