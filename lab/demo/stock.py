# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The same story on stock ML2/OVN: what calls took and answered, and what OVN lacks after it."""

import dataclasses
import time
import typing

import keystoneauth1.exceptions
import openstack.exceptions
import requests

from lab import processes, waiting
from lab.demo import changes, compare, northbound, screen, script

#: Seconds that a client waits for an answer: stock gives none until OVN is back.
PATIENCE_S = 3

#: Seconds until it must have connected again.
_RECONNECT_S = 60.0

_WIDTH = 60


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How one call ended."""

    ms: float
    said: str = ""  #: what it answered if it failed


class Stock(script.Script):
    """The script without the journal: a step may fail, and those after it go on without it."""

    def __init__(
        self, tenant: changes.Tenant, ovn: typing.Any, show: screen.Screen, host: str
    ) -> None:
        super().__init__(tenant, host)
        self.ovn, self.show = ovn, show

    def build(self, ours: typing.Sequence[changes.Change]) -> None:
        """Make the cloud; show it beside ours.

        :raises LabError: if a step fails while OVN is there.
        """
        outcomes = self._take(self.building() + self.routing())
        failed = [outcome.said for outcome in outcomes if outcome.said]
        if failed:
            raise processes.LabError(f"Stock failed though OVN was there: {failed[0]}")
        self._beside(ours, outcomes)

    def outage(self, ours: typing.Sequence[changes.Change]) -> None:
        """Stop the northbound server and change the same things; show them beside ours."""
        self.show.say(f"Stock, asked by a client who waits {PATIENCE_S} s for each answer:")
        self.ovn.stop_nb()
        outcomes = self._take(self.changing())
        self._beside(ours, outcomes)
        done = sum(not outcome.said for outcome in outcomes)
        self.show.say(f"Stock did {done} of {len(outcomes)} calls; ours did all of them.")

    def recover(self) -> None:
        """Start the northbound server; nobody repeats a call here either."""
        self.ovn.start_nb()

        def answers() -> bool:
            try:
                self.tenant.post("/networks", {"network": _PROBE})
            except _FAILED:
                return False
            return True

        waiting.wait_until(answers, _RECONNECT_S, "stock to reach OVN again", every_s=0.5)

    def verify(self) -> compare.Comparison:
        """Compare stock's API with its OVN; show what is apart, and what says so."""
        found = compare.compare(compare.listed(self.tenant), northbound.read(self.ovn.nbctl))
        self.show.say(
            f"Stock: {found.fields} fields compared, {len(found.differences)} differences:"
        )
        for difference in found.differences:
            self.show.say(f"  differs: {difference}")
        port = self.tenant.get(f"/ports/{self.made['web-2'].id}")["port"]
        self.show.quote(
            f"Stock: GET /v2.0/ports/{port['id']} (disabled while OVN was down)",
            f"admin_state_up {port['admin_state_up']}, status {port['status']}; it has no "
            "sync_state, and no call says what OVN lacks",
        )
        self.show.say(
            "A deployment of stock runs neutron-ovn-maintenance-worker beside it, which compares "
            "revision numbers every five minutes and repairs those it finds; it does not run here."
        )
        return found

    def _take(self, steps: typing.Iterable[script.Step]) -> list[Outcome]:
        return [_outcome(step) for step in steps]

    def _beside(
        self, ours: typing.Sequence[changes.Change], outcomes: typing.Sequence[Outcome]
    ) -> None:
        pairs = zip(ours, outcomes, strict=True)
        self.show.beside(
            (row.label, row.api_ms, row.sync_state, one.ms, one.said or "done")
            for row, one in pairs
        )


_PROBE = {"name": "afterwards", "project_id": "stock"}

_FAILED = (
    keystoneauth1.exceptions.ClientException,
    openstack.exceptions.SDKException,
    requests.RequestException,
)


def _outcome(step: script.Step) -> Outcome:
    begun = time.perf_counter()
    said = ""
    try:
        step()
    except KeyError as missing:
        said = f"not possible: there is no {missing.args[0]}"
    except keystoneauth1.exceptions.ConnectTimeout:
        said = f"no answer within {PATIENCE_S} s"
    except _FAILED as failed:
        said = " ".join(str(failed).split())[:_WIDTH]
    return Outcome(ms=(time.perf_counter() - begun) * 1000, said=said)
