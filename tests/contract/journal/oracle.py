# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What must hold of every run, checked by whoever sees all of it."""

import collections
import contextlib
import threading
import typing

from networking_workflow.model import workflows
from networking_workflow.model.keys import Mode


class Oracle:
    """Sees each run begin and end, and says what was wrong.

    Every workflow carries, in its snapshot, a place for each of its keys, which says when its
    transaction committed without any help of the journal (see ``stress.places``), and its id: what
    was folded into another workflow can be seen there.
    """

    def __init__(self) -> None:
        self.troubles: list[str] = []
        self.out_of_place: set[str] = set()  #: took their keys anew: have a later place now
        self._lock = threading.Lock()
        self._running: dict[str, workflows.Claim] = {}
        self._exclusive: dict[str, int] = collections.defaultdict(int)
        self._shared: dict[str, int] = collections.defaultdict(int)

    @contextlib.contextmanager
    def watch(self, claim: workflows.Claim) -> typing.Iterator[None]:
        """Check one run of a workflow; it ends when the block does, however that ends."""
        with self._lock:
            self._check_alone(claim)
            self._check_place(claim)
            self._running[claim.id] = claim
        try:
            yield
        finally:
            with self._lock:
                self._running.pop(claim.id, None)

    def _check_alone(self, claim: workflows.Claim) -> None:
        if claim.id in self._running:
            self.troubles.append(f"{claim.id} runs twice at the same time")
        for other in self._running.values():
            for key in claim.keys.keys() & other.keys.keys():
                if Mode.EXCLUSIVE in (claim.keys[key], other.keys[key]):
                    self.troubles.append(f"{claim.id} and {other.id} overlap on {key}")

    def _check_place(self, claim: workflows.Claim) -> None:
        versions = (claim.snapshot or {})["edge"]
        if self.out_of_place & versions.keys():
            return
        for key, mode in claim.keys.items():
            version = versions.get(key)
            if version is None:  # not one of those it was recorded with
                continue
            if mode is Mode.EXCLUSIVE:
                late = version < self._exclusive[key] or version <= self._shared[key]
                self._exclusive[key] = max(version, self._exclusive[key])
            else:
                late = version < self._exclusive[key]
                self._shared[key] = max(version, self._shared[key])
            if late:
                self.troubles.append(f"{claim.id} runs behind a later commit on {key}")
