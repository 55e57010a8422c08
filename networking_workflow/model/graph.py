# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The graph of a deployment's drivers: which follow which, and which do not care for each other.

A *lane* is a chain of drivers with workflows and keys of its own. Where nothing is said, all
drivers are one lane, in the order of ``mechanism_drivers``. ``X independent`` gives a driver a lane
of its own; ``Y after X`` puts Y into X's lane, behind it, and has it called only when X has done
its part.
"""

import dataclasses
import graphlib
import typing

from networking_workflow.model import errors, keys

#: Longest name of a lane, in characters: a column of the journal.
MAX_LANE = 32

_FORMS = "'<driver> after <driver> [<driver> ...]' or '<driver> independent'"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Lane:
    """Drivers that are called one after the other, each workflow's."""

    name: str
    drivers: tuple[str, ...]  #: in the order of their calls


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class DriverGraph:
    """All lanes of a deployment; the default one is there even if it has no driver."""

    lanes: tuple[Lane, ...]
    after: typing.Mapping[str, frozenset[str]]  #: driver -> those whose success it waits for

    def lane_of(self, driver: str) -> str:
        """Return the name of a driver's lane.

        :raises KeyError: if there is no such driver.
        """
        return self.placed[driver]

    @property
    def placed(self) -> dict[str, str]:
        """Return the lane of each driver."""
        return {driver: lane.name for lane in self.lanes for driver in lane.drivers}

    def drivers_in(self, lane: str) -> tuple[str, ...]:
        """Return the drivers of a lane in the order of their calls.

        :raises KeyError: if there is no such lane.
        """
        return {one.name: one.drivers for one in self.lanes}[lane]


def single(drivers: typing.Iterable[str]) -> DriverGraph:
    """Return the graph where nothing is declared."""
    lane = Lane(name=keys.DEFAULT_LANE, drivers=tuple(drivers))
    return DriverGraph(lanes=(lane,), after={})


def turned(
    after: typing.Mapping[str, frozenset[str]],
) -> dict[str, frozenset[str]]:
    """Return the edges the other way round."""
    before: dict[str, set[str]] = {}
    for driver, others in after.items():
        for other in others:
            before.setdefault(other, set()).add(driver)
    return {driver: frozenset(others) for driver, others in before.items()}


def parse(statements: typing.Iterable[str], drivers: typing.Sequence[str]) -> DriverGraph:
    """Return the graph that the statements declare of these drivers, given in ML2's order.

    :raises ConfigurationError: if a statement is neither of the two forms, names a driver that is
        not configured, contradicts another, or several make a cycle.
    """
    after: dict[str, set[str]] = {}
    independent: set[str] = set()
    for statement in statements:
        match statement.split():
            case [driver, "independent"]:
                _require(statement, [driver], drivers)
                independent.add(driver)
            case [driver, "after", *others] if others:
                _require(statement, [driver, *others], drivers)
                after.setdefault(driver, set()).update(others)
            case _:
                raise _refused(statement, f"it must be {_FORMS}")
    order = _order(after, drivers)
    placed = _placed(order, after, independent)
    lanes = (keys.DEFAULT_LANE, *(name for name in order if placed[name] == name))
    return DriverGraph(
        lanes=tuple(
            Lane(name=lane, drivers=tuple(one for one in order if placed[one] == lane))
            for lane in lanes
        ),
        after=_closed(after, order),
    )


def _closed(after: dict[str, set[str]], order: list[str]) -> dict[str, frozenset[str]]:
    """Return the edges with those that follow from others.

    The driver in between may have nothing to do for a resource.
    """
    closed: dict[str, frozenset[str]] = {}
    for driver in order:
        others = after.get(driver, set())
        if others:
            closed[driver] = frozenset(others).union(*(closed.get(one, ()) for one in others))
    return closed


def _require(statement: str, named: list[str], drivers: typing.Sequence[str]) -> None:
    for name in named:
        if name not in drivers:
            raise _refused(
                statement, f"{name} is not among the mechanism drivers, {', '.join(drivers)}"
            )
    if len(named) != len(set(named)):
        raise _refused(statement, "it names a driver twice")


def _order(after: dict[str, set[str]], drivers: typing.Sequence[str]) -> list[str]:
    """Return the drivers in ML2's order, as far as what is declared lets them."""
    sorter = graphlib.TopologicalSorter({driver: after.get(driver, set()) for driver in drivers})
    try:
        sorter.prepare()
    except graphlib.CycleError as error:
        cycle = " after ".join(reversed(error.args[1]))
        raise _refused(cycle, "drivers cannot wait for each other; take one of them out") from error
    order: list[str] = []
    ready: set[str] = set(sorter.get_ready())
    while ready:
        chosen = min(ready, key=drivers.index)
        ready.remove(chosen)
        order.append(chosen)
        sorter.done(chosen)
        ready.update(sorter.get_ready())
    return order


def _placed(order: list[str], after: dict[str, set[str]], independent: set[str]) -> dict[str, str]:
    """Return the lane of each driver, earlier ones first: who is after others is in their lane."""
    placed: dict[str, str] = {}
    for driver in order:
        lanes = {placed[other] for other in after.get(driver, ())}
        if driver in independent:
            if lanes:
                raise _refused(
                    f"{driver} independent", "it is declared to be after others, too; choose one"
                )
            if len(driver) > MAX_LANE or driver == keys.DEFAULT_LANE or ":" in driver:
                raise _refused(
                    f"{driver} independent",
                    f"a driver with a lane of its own has a name of at most {MAX_LANE} characters, "
                    f"without a colon and other than '{keys.DEFAULT_LANE}'",
                )
            placed[driver] = driver
        elif len(lanes) > 1:
            others = " ".join(sorted(after[driver]))
            raise _refused(
                f"{driver} after {others}",
                "these are independent of each other; a driver can only wait within one lane",
            )
        else:
            placed[driver] = lanes.pop() if lanes else keys.DEFAULT_LANE
    return placed


def _refused(statement: str, why: str) -> errors.ConfigurationError:
    return errors.ConfigurationError(f"[workflow] driver_graph: {statement}: {why}.")
