# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What came of each test, as one line of JSON."""

import dataclasses
import enum
import json
import pathlib


class Outcome(enum.StrEnum):
    """How a test ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """One test of Neutron's."""

    id: str  #: as unittest says it, from the module to the scenario
    outcome: Outcome
    why: str = ""  #: last line of the failure, or the reason to skip it
    seconds: float = 0.0
    through_plugin: bool = False  #: it loaded the core plugin that is compared

    def line(self) -> str:
        """Return it as one line of JSON."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True) + "\n"

    @classmethod
    def of(cls, line: str) -> "Result":
        """Return what :meth:`line` wrote."""
        fields = json.loads(line)
        return cls(**{**fields, "outcome": Outcome(fields["outcome"])})


def path(folder: pathlib.Path, variant: str, share: int) -> pathlib.Path:
    """Return where one process writes its results."""
    return folder / f"{variant}.{share}.jsonl"


def delete(folder: pathlib.Path, variant: str) -> None:
    """Forget a variant's results."""
    for file in folder.glob(f"{variant}.*.jsonl"):
        file.unlink()


def write(file: pathlib.Path, found: dict[str, Result]) -> None:
    """Write results as one JSON object by the test's id."""
    file.write_text(
        json.dumps({id_: dataclasses.asdict(result) for id_, result in found.items()}, indent=1)
    )


def read(folder: pathlib.Path, variant: str) -> dict[str, Result]:
    """Return all results so far by the test's id. A last line cut short is no result."""
    found: dict[str, Result] = {}
    for file in sorted(folder.glob(f"{variant}.*.jsonl")):
        for line in file.read_text().splitlines():
            try:
                result = Result.of(line)
            except json.JSONDecodeError:
                continue
            found[result.id] = result
    return found
