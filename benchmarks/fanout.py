# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Whether a rule of a policy with 1,000 ports holds up the API, or who creates other ports."""

import contextlib
import dataclasses
import itertools
import statistics
import time

from benchmarks import clouds, figures, ovn, pairs
from lab import client as lab_client
from lab import ovn as lab_ovn
from lab import waiting
from lab.databases import pool

PORTS, QUICK_PORTS = 1000, 60
BULK = 100  #: ports of one request while the cloud is made

#: Seconds until all ports must have a rule.
ALL_IN_S = 900.0


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """One change of the rule."""

    idle_ms: float  #: median of creating a port when nothing else happens,
    busy_ms: float  #: and while the ports of the policy get the rule
    answer_ms: float  #: of the change itself
    all_s: float  #: until every port has it


class Site:
    """A cloud with ``number`` ports of one policy, and a network for others."""

    def __init__(self, cloud: clouds.OurCloud, central: lab_ovn.OvnCentral, number: int) -> None:
        self._cloud, self._central, self._number = cloud, central, number
        self._caller = lab_client.Client(cloud.api.url)
        self._rates = itertools.count(1000)
        policy = self._call("POST", "/qos/policies", policy={"name": "bench"})["policy"]["id"]
        rules = f"/qos/policies/{policy}/bandwidth_limit_rules"
        rule = {"max_kbps": next(self._rates)}
        made = self._call("POST", rules, bandwidth_limit_rule=rule)
        self._rule = f"{rules}/{made['bandwidth_limit_rule']['id']}"
        self._other = cloud.network()
        port = {"network_id": cloud.network(), "qos_policy_id": policy, "project_id": "bench"}
        for _ in range(0, number, BULK):
            cloud.client.create_all("ports", [port] * min(BULK, number))
        self._limited()

    def turn(self, block: int) -> Turn:
        """Create ports, change the rule, create ports, wait for the rule at all ports."""
        idle = self._cloud.create_ports(self._other, block)
        self._cloud.settle()
        rate = next(self._rates)
        started = time.monotonic()
        self._call("PUT", self._rule, bandwidth_limit_rule={"max_kbps": rate})
        answer_ms = (time.monotonic() - started) * 1000
        busy = self._cloud.create_ports(self._other, block)
        self._limited(rate)
        return Turn(
            idle_ms=statistics.median(idle),
            busy_ms=statistics.median(busy),
            answer_ms=answer_ms,
            all_s=time.monotonic() - started,
        )

    def close(self) -> None:
        """Close the client's connection."""
        self._caller.close()

    def _call(self, method: str, path: str, **body: object) -> dict[str, dict[str, str]]:
        answer = self._caller.call(method, path, body)
        if answer.status not in (200, 201):
            raise clouds.Unsettled(f"{method} {path}: {answer}")
        found: dict[str, dict[str, str]] = answer.body
        return found

    def _limited(self, rate: int = 1000) -> None:
        """Return when every port has the rate in OVN."""

        def there() -> bool:
            said = self._central.nbctl("--bare", "--columns=bandwidth", "list", "QoS").split()
            return said.count(f"rate={rate}") == self._number

        waiting.wait_until(there, ALL_IN_S, f"{self._number} ports with {rate} kbit/s", every_s=0.2)


def run(scale: figures.Scale, databases: pool.Pool) -> list[figures.Figure]:
    """Measure one client that creates ports, idle and while a policy's ports get a rule."""
    number = QUICK_PORTS if scale.quick else PORTS
    with contextlib.ExitStack() as stack:
        central = stack.enter_context(lab_ovn.OvnCentral())
        profile = {
            **ovn.profile(central),
            "service_plugins": ("ovn-router", "qos"),
            "extension_drivers": ("port_security", "qos"),
        }
        cloud = stack.enter_context(
            clouds.ours(
                databases, profile, conductor="separate", process=clouds.LowPriorityConductor
            )
        )
        site = stack.enter_context(contextlib.closing(Site(cloud, central, number)))
        turns = [site.turn(scale.block * 5) for _ in range(scale.turns_of(3))]
    busy, idle = [one.busy_ms for one in turns], [one.idle_ms for one in turns]
    return [
        figures.Figure(
            figure=f"create port while {number} ports of a policy get a rule: busy ÷ idle",
            interval=pairs.median_ratio(busy, idle),
            n=len(turns),
            beside={
                "idle_ms": round(statistics.median(idle), 2),
                "busy_ms": round(statistics.median(busy), 2),
                "answer_ms": round(statistics.median(one.answer_ms for one in turns), 2),
                "all_s": round(statistics.median(one.all_s for one in turns), 1),
                "ports_per_s": round(statistics.median(number / one.all_s for one in turns), 1),
            },
            note="one client, OVN, separate conductor at nice 19; answer: of the PUT of the rule; "
            "all: until OVN has the rule at every port",
        )
    ]
