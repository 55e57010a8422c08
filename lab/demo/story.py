# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The five phases, told through the API alone; the backend is stopped and started beside it."""

import statistics
import threading
import typing

from lab.demo import changes, compare, northbound, screen, script, stock

#: Seconds after which a phase that has not converged is a failure.
CONVERGE_S = 60.0

#: Seconds between two looks at the API; only what is drawn depends on it.
LOOK_S = 0.25


class StoryFailed(Exception):
    """The demonstration did not come out as it promises."""


class Backend(typing.Protocol):
    """What the story needs of OVN: its northbound server, and its command line."""

    def stop_nb(self) -> None:
        """Stop the northbound server."""

    def start_nb(self) -> None:
        """Start it again."""

    def nbctl(self, *args: str) -> str:
        """Run ``ovn-nbctl``."""


class Story(script.Script):
    """The script with the journal: every change must come to OVN, or say why it does not."""

    def __init__(
        self,
        tenant: changes.Tenant,
        ovn: Backend,
        show: screen.Screen,
        host: str,
        beside: stock.Stock | None = None,
    ) -> None:
        super().__init__(tenant, host)
        self.ovn, self.show, self.beside = ovn, show, beside
        self.normal_ms: list[float] = []
        self._pause = threading.Event()  # never set: a wait that Ctrl-C can interrupt

    def tell(self) -> compare.Comparison:
        """Run all phases.

        :raises StoryFailed: if something does not happen that must.
        """
        self.build()
        self.outage()
        self.recover()
        self.fail_for_good()
        return self.verify()

    # -- helpers ---------------------------------------------------------------------------------
    @staticmethod
    def run(steps: typing.Iterable[script.Step]) -> None:
        """Take one step after the other."""
        for step in steps:
            step()

    def converge(self, rows: list[changes.Change]) -> None:
        """Watch until every change has settled.

        :raises StoryFailed: after :data:`CONVERGE_S` seconds.
        """
        with self.show.watching(rows) as draw:
            for _ in range(int(CONVERGE_S / LOOK_S)):
                done = self.tenant.refresh(rows)
                draw()
                if done and not self.tenant.unfinished():
                    break
                self._pause.wait(LOOK_S)
        left = self.tenant.unfinished()
        if left:
            raise StoryFailed(
                f"{len(left)} workflows are not finished after {CONVERGE_S:.0f} s: {left[0]}"
            )

    def since(self, mark: int) -> list[changes.Change]:
        """Return the changes made after the first ``mark`` ones."""
        return self.tenant.changes[mark:]

    # -- phases ----------------------------------------------------------------------------------
    def build(self) -> None:
        """Make a small cloud of networks, subnets, groups and ports."""
        self.show.phase(
            1,
            "A cloud is built",
            "Each call commits the database and a workflow together and answers; a conductor makes "
            "OVN follow and reads it back. SYNCED means that OVN was seen to hold it.",
        )
        mark = len(self.tenant.changes)
        self.run(self.building() + self.routing())
        self.normal_ms = [change.api_ms for change in self.since(mark)]
        self.converge(self.since(mark))
        if self.beside:
            self.beside.build(self.since(mark))

    def outage(self) -> None:
        """Stop the northbound server and change things of every kind."""
        self.show.phase(
            2,
            "OVN's northbound server is stopped, and the cloud goes on changing",
            "Stock ML2/OVN hangs here, reads included, until OVN is back. Here the changes are "
            "queued in commit order, and the API says of each why it waits.",
        )
        self.ovn.stop_nb()
        mark = len(self.tenant.changes)
        self.run(self.changing())
        rows = self.since(mark)
        self.until_explained(rows)
        now, before = (statistics.median(x) for x in ([r.api_ms for r in rows], self.normal_ms))
        self.show.say(
            f"API time per change: median {now:.0f} ms with OVN down, {before:.0f} ms before."
        )
        self.explain()
        if self.beside:
            self.beside.outage(rows)

    def until_explained(self, rows: list[changes.Change]) -> None:
        """Watch until the conductor has met the outage and said so.

        :raises StoryFailed: if a change says SYNCED, or the outage is not reported in time.
        """
        with self.show.watching(rows) as draw:
            for _ in range(int(CONVERGE_S / LOOK_S)):
                self.tenant.refresh(rows)
                draw()
                if all(
                    row.workflow_state in ("RETRYING", "WAITING", "HELD", "SUPERSEDED")
                    for row in rows
                ):
                    break
                self._pause.wait(LOOK_S)
        wrong = [row.label for row in rows if row.sync_state not in ("PENDING", changes.GONE)]
        if wrong:
            raise StoryFailed(f"OVN is down, and yet these are not PENDING: {', '.join(wrong)}")

    def explain(self) -> None:
        """Ask the API, as a tenant would, why a port is not there yet.

        :raises StoryFailed: if the answer names no driver.
        """
        port = self.made["web-2"].id
        body = self.tenant.get(f"/ports/{port}")["port"]
        self.show.quote(
            f"GET /v2.0/ports/{port}",
            f"status {body['status']}, sync_state {body['sync_state']}: {body['sync_error']}",
        )
        tasks = self.tenant.get(f"/tasks?resource_id={port}&task_state=RETRYING")["tasks"]
        self.show.quote(
            f"GET /v2.0/tasks?resource_id={port}&task_state=RETRYING",
            [
                f"driver {t['driver']}: {t['failure']['code']}: {t['failure']['message']}"
                for t in tasks
            ],
        )
        if not tasks:
            raise StoryFailed("No task says which driver cannot go on.")
        port = self.made["cache-1"].id
        path = f"/workflows?resource_id={port}&workflow_state=WAITING"
        waiting = self.tenant.get(path)["workflows"]
        before = [self.tenant.get(f"/workflows/{w['blocked_by']}")["workflow"] for w in waiting]
        self.show.quote(
            f"GET /v2.0{path}",
            list(
                dict.fromkeys(
                    f"waits for {b['operation']} {b['resource_type']} {b['resource_id']}, which is "
                    f"{b['workflow_state']}"
                    for b in before
                )
            ),
        )

    def recover(self) -> None:
        """Start the northbound server again; nobody does anything else."""
        self.show.phase(
            3,
            "The northbound server is started again",
            "Nobody repeats a call. What was queued is applied in the order in which it was "
            "committed; what was changed or deleted meanwhile is applied as it is now.",
        )
        self.ovn.start_nb()
        self.converge([change for change in self.tenant.changes if change.workflow_id])
        if self.beside:
            self.beside.recover()

    def fail_for_good(self) -> None:
        """Ask for what OVN cannot hold; heal it by changing the request."""
        self.show.phase(
            4,
            "One change fails for good, and nothing else is held up",
            "A tenant gives a port a device_id with a NUL character. Neutron accepts it; OVSDB "
            "cannot carry it and cuts the connection of whoever sends it, at each attempt again. "
            "Here the change FAILED, with its cause, before it was sent; the port beside it is not "
            "held up.",
        )
        mark = len(self.tenant.changes)
        self.port("odd", "blue", "web", bound=False, device_id="vm\x007")
        self.port("web-3", "blue", "web", bound=True)
        self.converge(self.since(mark))
        odd = self.made["odd"].id
        failed = self.tenant.get(f"/tasks?resource_id={odd}&task_state=FAILED")["tasks"]
        self.show.quote(
            f"GET /v2.0/tasks?resource_id={odd}&task_state=FAILED",
            [
                f"driver {t['driver']}: {t['failure']['code']}: {t['failure']['message']}"
                + (f" [admin: {t['failure_detail']}]" if t.get("failure_detail") else "")
                for t in failed
            ],
        )
        states = {row.label: row.sync_state for row in self.since(mark)}
        if not failed or list(states.values()) != ["ERROR", "SYNCED"]:
            raise StoryFailed(f"Expected one ERROR and one SYNCED, got {states}")
        mark = len(self.tenant.changes)
        self.update("port", "odd", "a device_id without NUL", device_id="vm-7")
        self.converge(self.since(mark))
        if self.since(mark)[0].sync_state != "SYNCED":
            raise StoryFailed("The later update did not heal the port.")

    def verify(self) -> compare.Comparison:
        """Compare everything that the API lists with what OVN holds."""
        self.show.phase(
            5,
            "Every row is compared with OVN",
            "Read with ovn-nbctl and compared field by field by code that shares nothing with the "
            "drivers.",
        )
        if self.beside:
            self.beside.verify()
        return compare.compare(compare.listed(self.tenant), northbound.read(self.ovn.nbctl))
