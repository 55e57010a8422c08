# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The places that a port has left, and what of them is another port's by now.

A switch port is no resource of Neutron: one port of Neutron after another is plugged there, and who
leaves it last unplugs whoever is there. The key ``link/<digest>`` lets them follow each other; but
a workflow holds those of its own change only, and one that has failed holds none.
"""

import typing

from networking_workflow.drivers import contexts, protocol
from networking_workflow.model import keys, running


def left(before: typing.Iterable[contexts.Port], port: contexts.Port) -> list[contexts.Port]:
    """Return those that were bound elsewhere than ``port`` is, each place once.

    A distributed port leaves none: it is bound host by host.
    """
    found: list[contexts.Port] = []
    for one in before:
        distributed = one.is_distributed or port.is_distributed
        if distributed or not one.places[0].is_bound or _same(one, port):
            continue
        if not any(_same(one, other) for other in found):
            found.append(one)
    return found


def _same(before: contexts.Port, port: contexts.Port) -> bool:
    """Return whether a port is bound where it was: what else changes, ML2 binds no port anew."""
    return before.places[0].where == port.place_at(before.places[0].host).where


def vacant(
    context: typing.Any, target: protocol.Target, port: contexts.Port
) -> contexts.Port | None:
    """Return a place of the target without the switch ports that are another's by now.

    Another is there that is bound there today, if this driver has plugged it, or may be doing so at
    this moment: nothing of this workflow keeps it from it. One that waits for this workflow comes
    after it, and finds the switch port as it was left.

    Returns None if nothing is left of the place.
    """
    if not port.links:
        return port
    others = contexts.links_of_others(context, target.resource_id, port.links)
    held = _held(port.links)
    plugged = {
        other: contexts.Port.from_json(applied).links
        for other, applied in (target.applied_of(others) if others else {}).items()
    }
    taken = {
        link
        for other, links in others.items()
        for link in links
        if link not in held or link in plugged.get(other, ())
    }
    return port.without_links(taken) if taken else port


def _held(links: frozenset[str]) -> frozenset[str]:
    """Return which of these switch ports are this task's workflow's; outside of a task, all."""
    task = running.RUNNING.get()
    if task is None:
        return links
    held = map(keys.Key.parse, task.claim.keys)
    return links & {key.resource_id for key in held if key.resource_type == "link"}
