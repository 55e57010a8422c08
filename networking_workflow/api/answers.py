# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What a writing call answers: its change is committed, and no backend has it yet.

ML2 makes the answer inside the transaction, where the journal's row is not yet written; an update
would still show the state from before it.
"""

import collections.abc
import functools
import typing

from neutron_lib import constants as lib_constants
from neutron_lib.api.definitions import portbindings
from neutron_lib.plugins import constants

from networking_workflow.api import sync_state
from networking_workflow.capture import calls

_Plugin = typing.TypeVar("_Plugin", bound=type)

#: Plugin methods that answer with the resources they changed.
WRITES = (
    *("create_network", "create_network_bulk", "update_network"),
    *("create_subnet", "create_subnet_bulk", "update_subnet"),
    *("create_port", "create_port_bulk", "update_port"),
    *("create_security_group", "create_security_group_bulk", "update_security_group"),
    *("create_security_group_rule", "create_security_group_rule_bulk"),
    *("create_address_group", "update_address_group", "add_addresses", "remove_addresses"),
)

#: As :data:`WRITES`, of each service plugin. What answers with no resource is not here: an
#: interface, a rule of a policy.
SERVICE_WRITES: dict[str, tuple[str, ...]] = {
    constants.L3: (
        *("create_router", "update_router", "add_extraroutes", "remove_extraroutes"),
        *("create_floatingip", "update_floatingip"),
    ),
    constants.QOS: ("create_policy", "update_policy"),
    "trunk": ("create_trunk", "update_trunk", "add_subports", "remove_subports"),
}

#: Of these, what may bind a port in a second transaction.
_BINDING = frozenset({"create_port", "create_port_bulk", "update_port"})

#: Under which key member actions answer with the resource.
_MEMBERS = ("address_group", "router")


def answer_pending(plugin: _Plugin) -> _Plugin:
    """Wrap the writing methods of a core plugin's class; for use as a decorator."""
    for name in WRITES:
        setattr(plugin, name, _answering(getattr(plugin, name)))
    return plugin


def service_answers_pending(kind: str, plugin: typing.Any) -> None:
    """Wrap the writing methods of a service plugin, once it is loaded."""
    for name in SERVICE_WRITES.get(kind, ()):
        setattr(plugin, name, _answering(getattr(plugin, name)))


def _answering(
    method: collections.abc.Callable[..., typing.Any],
) -> collections.abc.Callable[..., typing.Any]:
    creates = method.__name__.startswith("create_")
    may_bind = method.__name__ in _BINDING

    @functools.wraps(method)
    def call(*args: typing.Any, **kwargs: typing.Any) -> typing.Any:
        binds = may_bind and not (creates and _name_no_host((*args, *kwargs.values())))
        with calls.committed_ids(told_together=binds) as ids:
            answer = method(*args, **kwargs)
        if ids:  # a call that changed nothing shows what was there
            changed, since = _resources(answer), calls.recorded_at()
            for resource in _with_rules(changed) if creates else changed:
                sync_state.pending(resource, since)
        return answer

    return call


def _name_no_host(arguments: collections.abc.Iterable[typing.Any]) -> bool:
    """Return whether the ports of a create name no host: nothing will bind them in this call."""
    (body,) = (one for one in arguments if isinstance(one, dict))
    hosts = (one["port"].get(portbindings.HOST_ID) for one in body.get("ports", (body,)))
    return all(host in (None, "", lib_constants.ATTR_NOT_SPECIFIED) for host in hosts)


def _resources(answer: typing.Any) -> collections.abc.Iterator[dict[str, typing.Any]]:
    """Yield the API dicts of an answer: one, a list, or under a member action's own key."""
    if isinstance(answer, list):
        for one in answer:
            yield from _resources(one)
    elif isinstance(answer, dict):
        yield next((answer[name] for name in _MEMBERS if name in answer), answer)


def _with_rules(
    resources: collections.abc.Iterable[dict[str, typing.Any]],
) -> collections.abc.Iterator[dict[str, typing.Any]]:
    """Yield new resources, and the rules that a new security group came with."""
    for resource in resources:
        yield resource
        yield from resource.get("security_group_rules", ())
