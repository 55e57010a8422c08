# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The random work of the stress test: API transactions, conductors that die, operators."""

import collections.abc
import dataclasses
import itertools
import random
import threading
import typing

import sqlalchemy as sa

from networking_workflow.journal import journal as journals
from networking_workflow.journal import record as records
from networking_workflow.journal import retries, tables
from networking_workflow.model import errors, failures, tasks, workflows
from networking_workflow.model.keys import Mode
from networking_workflow.model.states import TERMINAL, TaskState
from tests.contract.journal import crashes, oracle, world
from tests.waiting import wait_until

API_THREADS = 2
CONDUCTORS = 3
DEADLINE_S = 600.0

#: Workflows that the API is ahead of the conductors at most, so that they meet all along.
AHEAD = 100

#: Resources of each kind; few, so that they conflict. The first ones are the most wanted.
MANY = {"network": 8, "port": 60, "subnet": 12, "security_group": 8}

FAILURE = failures.Failure(code=failures.FailureCode.BACKEND_BUSY, detail="at random")

#: The rows that Neutron would have: who changes a resource raises its version.
VERSIONS = sa.Table(
    "versions",
    sa.MetaData(),
    sa.Column("k", sa.String(128), primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    mysql_engine="InnoDB",
)


class Run:
    """One stress run; counts what it met, lists in ``troubles`` what must not be."""

    def __init__(self, cloud: world.World, size: int, seed: int = 1) -> None:
        self.world = cloud
        self.size = size
        self.recorded = self.rolled_back = self.killed = self.taken_over = 0
        self.held = self.failed = self.retried = self.folded = self.conflicts = 0
        self.oracle = oracle.Oracle()
        self._seeds = itertools.count(seed * 1000)
        self._lives = itertools.count(1)
        self._lock = threading.Lock()
        self._ahead = threading.Semaphore(AHEAD)
        self._finishing = threading.Event()
        self._done = threading.Event()
        self._prepare()

    @property
    def troubles(self) -> list[str]:
        """Return what was wrong, in words."""
        return self.oracle.troubles

    def to_the_end(self) -> None:
        """Record ``size`` workflows while conductors run them; return when all have ended."""
        api = [threading.Thread(target=self._api, args=(n,)) for n in range(API_THREADS)]
        conductors = [
            threading.Thread(target=self._conductors, args=(n,)) for n in range(CONDUCTORS)
        ]
        for thread in (*api, *conductors):
            thread.start()
        try:
            for thread in api:
                thread.join()
            self._finishing.set()
            wait_until(self._all_ended, DEADLINE_S, lambda: f"the end: {self.world.states()}")
        finally:
            self._finishing.set()
            self._done.set()
            for thread in conductors:
                thread.join()

    def count(self, what: str, number: int = 1) -> None:
        """Add to one of the counters."""
        with self._lock:
            setattr(self, what, getattr(self, what) + number)

    def _prepare(self) -> None:
        with self.world.api().begin() as connection:
            VERSIONS.metadata.create_all(connection)
            connection.execute(sa.delete(VERSIONS))
            names = [f"{kind}/{number}" for kind, many in MANY.items() for number in range(many)]
            names += [f"metadata/{number}" for number in range(MANY["network"])]
            connection.execute(
                sa.insert(VERSIONS), [{"k": world.key(name), "version": 0} for name in names]
            )
        self.world.sync()

    def _all_ended(self) -> bool:
        return all(state in TERMINAL - {"FAILED"} for state in self.world.states())

    # API

    def _api(self, number: int) -> None:
        rng = random.Random(next(self._seeds))
        engine = self.world.api(number % len(self.world.database.urls))
        try:
            while self.recorded < self.size and not self._done.is_set():
                self._transaction(engine, rng)
        except Exception as error:  # a thread's error reaches nobody by itself
            self.troubles.append(f"API: {error!r}")
            raise

    def _transaction(self, engine: sa.Engine, rng: random.Random) -> None:
        new = [_change(rng) for _ in range(rng.choice((1, 1, 2, 4, 8)))]
        for _ in new:
            self._ahead.acquire(timeout=1.0)
        self._record(engine, new, rolls_back=rng.random() < 0.03)

    def _record(
        self, engine: sa.Engine, new: list[workflows.NewWorkflow], *, rolls_back: bool = False
    ) -> None:
        try:
            with engine.connect() as connection:
                versions = _write_rows(connection, new)
                records.record(connection, places(new, versions))
                if rolls_back:
                    connection.rollback()
                    self.count("rolled_back")
                    return
                connection.commit()
            self.count("recorded", len(new))
        except sa.exc.DBAPIError as error:
            if not retries.is_conflict(error):
                raise
            self.count("conflicts")

    # Conductors

    def _conductors(self, number: int) -> None:
        """Be one conductor after the other: each is killed one statement later than the last."""
        journal = self.world.journals[number % len(self.world.journals)]
        mine = threading.get_ident()
        life = _Life(0)

        def boundary(connection: sa.Connection, *_: typing.Any) -> None:
            if threading.get_ident() == mine:
                life.boundary(connection)

        for event in ("before_cursor_execute", "commit"):
            sa.event.listen(journal.engine, event, boundary)
        try:
            while not self._done.is_set():
                born = next(self._lives)
                life.dies_at = 0 if self._finishing.is_set() else 3 * born
                life.passed = 0
                self._conductor(journal, f"conductor-{born}", random.Random(next(self._seeds)))
        except Exception as error:  # a thread's error reaches nobody by itself
            self.troubles.append(f"conductor: {error!r}")
            raise
        finally:
            for event in ("before_cursor_execute", "commit"):
                sa.event.remove(journal.engine, event, boundary)

    def _conductor(self, journal: journals.Journal, name: str, rng: random.Random) -> None:
        try:
            journal.register(name, host="host", pid=1, lease_s=600.0)
            after = ""
            while not self._done.is_set():
                found = journal.claim(name, after_project=after, plan=_plan)
                if found is None or rng.random() < 0.05:
                    self._chores(journal, name, rng)
                if isinstance(found, workflows.Claim):
                    self.count("folded", len(found.folded))
                    self._ahead.release(1 + len(found.folded))
                    self._run(journal, found, rng)
                if found is not None:
                    after = found.project_id
            journal.sign_off(name)
        except crashes.Killed:
            self.count("killed")
            self._expire(name)

    def _expire(self, name: str) -> None:
        """Let the time of a dead conductor's lease pass."""
        table = tables.conductors
        statement = sa.update(table).where(table.c.id == name)
        late = statement.values(expires_at=sa.text("started_at"))
        retries.run(self.world.observer, lambda connection: connection.execute(late))

    def _run(self, journal: journals.Journal, claim: workflows.Claim, rng: random.Random) -> None:
        outcome = _succeed if self._finishing.is_set() else rng.choices(OUTCOMES, WEIGHTS)[0]
        with self.oracle.watch(claim):  # The driver's call; it is over before its end is written.
            own = world.key(f"{claim.resource_type}/{claim.resource_id}")
            self.world.observe(sa.select(VERSIONS.c.version).where(VERSIONS.c.k == own))
        try:
            outcome(self, journal, claim, rng)
        except errors.LeaseLost:
            if not self._may_be_lost(claim):
                self.troubles.append(f"{claim.id} lost its lease to nobody")

    def _may_be_lost(self, claim: workflows.Claim) -> bool:
        return self.world.row(claim.id).fence > claim.fence

    def _chores(self, journal: journals.Journal, name: str, rng: random.Random) -> None:
        self.count("taken_over", journal.take_over_lost(by=name))
        journal.requeue_due()
        journal.wake_stranded()
        journal.release_held()
        journal.fail_mutual_holds()
        table = tables.workflows.c
        failed = self.world.observe(sa.select(table.id).where(table.state == "FAILED").limit(20))
        for row in failed:
            if self._finishing.is_set() or rng.random() < 0.3:
                try:
                    self.oracle.out_of_place.add(row.id)
                    journal.retry(row.id)
                    self.count("retried")
                except errors.IllegalMove:
                    pass  # superseded meanwhile, or another's operator was faster
        if self._finishing.is_set():
            self._change_what_was_cancelled()

    def _change_what_was_cancelled(self) -> None:
        """Be the operator of a resource whose last change was CANCELLED: others are HELD for it."""
        table = tables.resource_sync.c
        cancelled = failures.FailureCode.CANCELLED
        resources = sa.select(table.resource_type, table.resource_id)
        held = resources.where(table.sync_error == cancelled, table.held > 0)
        for row in self.world.observe(held):
            name = f"{row.resource_type}/{row.resource_id}"
            self._record(self.world.api(0), [world.change(name)])


@dataclasses.dataclass
class _Life:
    """How many statement boundaries a conductor passes before it dies; 0: it does not."""

    dies_at: int
    passed: int = 0

    def boundary(self, connection: sa.Connection) -> None:
        self.passed += 1
        if self.passed == self.dies_at:
            # It ends with its process. One that was about to commit would be in the pool otherwise,
            # its transaction open, for whoever takes it next.
            connection.invalidate()
            raise crashes.Killed


Outcome = collections.abc.Callable[[Run, journals.Journal, workflows.Claim, random.Random], None]


def _plan(_connection: sa.Connection, _claim: workflows.Claim) -> list[tasks.PlannedTask]:
    return [tasks.PlannedTask(name="driver", driver="driver", position=0)]


def _succeed(
    _run: Run, journal: journals.Journal, claim: workflows.Claim, _rng: random.Random
) -> None:
    done = [tasks.TaskResult(id=one.id, state=TaskState.SUCCESS) for one in claim.started]
    journal.succeed(claim, done)


def _fail(run: Run, journal: journals.Journal, claim: workflows.Claim, _: random.Random) -> None:
    journal.fail(claim, FAILURE)
    run.count("failed")


def _retry_later(
    _run: Run, journal: journals.Journal, claim: workflows.Claim, rng: random.Random
) -> None:
    journal.retry_later(claim, FAILURE, delay_s=-1.0, spend_attempt=rng.random() < 0.5)


def _hand_back(
    _run: Run, journal: journals.Journal, claim: workflows.Claim, _rng: random.Random
) -> None:
    journal.hand_back(claim)


def _hold(run: Run, journal: journals.Journal, claim: workflows.Claim, rng: random.Random) -> None:
    run.oracle.out_of_place.add(claim.id)
    kind, number = _resource(rng)
    journal.hold(claim, FAILURE, resource_type=kind, resource_id=number)
    run.count("held")


def _take_anew(
    run: Run, journal: journals.Journal, claim: workflows.Claim, rng: random.Random
) -> None:
    run.oracle.out_of_place.add(claim.id)
    more = {world.key("/".join(_resource(rng))): Mode.SHARED}
    journal.take_anew(claim, {**more, **claim.keys})


def _cancel(run: Run, journal: journals.Journal, claim: workflows.Claim, _: random.Random) -> None:
    journal.cancel(claim.id)
    journal.cancelled(claim)


OUTCOMES: list[Outcome] = [_succeed, _fail, _retry_later, _hand_back, _hold, _take_anew, _cancel]
WEIGHTS = [70, 6, 6, 4, 6, 6, 2]


def _resource(rng: random.Random, kind: str | None = None) -> tuple[str, str]:
    kind = kind or rng.choice(list(MANY))
    return kind, str(min(int(rng.expovariate(3 / MANY[kind])), MANY[kind] - 1))


def _change(rng: random.Random) -> workflows.NewWorkflow:
    """Return a change of a port (most), a network, a subnet or a group."""

    def some(kind: str) -> str:
        return "/".join(_resource(rng, kind))

    network, project = some("network"), f"project-{rng.randrange(4)}"
    kind = rng.choices(("port", "network", "subnet", "security_group"), (75, 8, 10, 7))[0]
    if kind == "port":
        shared = [network, some("security_group")]
        return world.change(some("port"), shared=shared, project_id=project)
    if kind == "subnet":
        metadata = network.replace("network", "metadata")
        return world.change(
            some("subnet"), exclusive=[metadata], shared=[network], project_id=project
        )
    return world.change(some(kind), project_id=project)


def _write_rows(
    connection: sa.Connection, new: collections.abc.Sequence[workflows.NewWorkflow]
) -> dict[str, int]:
    """Do what Neutron's own statements do: raise or read each resource's version, locked."""
    exclusive = {k for one in new for k, mode in one.keys.items() if mode is Mode.EXCLUSIVE}
    shared = {k for one in new for k in one.keys} - exclusive
    versions = {}
    for k in sorted(exclusive | shared):
        row = VERSIONS.c.k == k
        if k in exclusive:
            raised = sa.update(VERSIONS).where(row).values(version=VERSIONS.c.version + 1)
            connection.execute(raised)
        read = sa.select(VERSIONS.c.version).where(row).with_for_update(read=True)
        versions[k] = connection.execute(read).scalar_one()
    return versions


def places(
    new: collections.abc.Sequence[workflows.NewWorkflow], versions: dict[str, int]
) -> list[workflows.NewWorkflow]:
    """Return ``new`` with their places in the order of commits, key by key.

    Whoever changes a resource in the transaction comes after all that saw an older version, and
    before all that saw this one; within the transaction the order of its workflows counts.
    """
    changed = {k for one in new for k, mode in one.keys.items() if mode is Mode.EXCLUSIVE}
    return [
        dataclasses.replace(
            one,
            snapshot={
                "version": 1,
                "edge": {
                    one.id: True,
                    **{k: versions[k] * 100 + (index if k in changed else 99) for k in one.keys},
                },
            },
        )
        for index, one in enumerate(new)
    ]
