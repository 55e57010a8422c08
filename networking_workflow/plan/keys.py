# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Which keys a workflow takes: one table of rules, a row a resource type.

A *reference* is a pair ``(type, id)``: something that the resource's rows name. Where an update
moves one, both the old and the new are given. Most are other resources; some name what several
resources write together in the backend:

- ``acl/<group>/<digest>``: the access rule that equal rules of one group share,
- ``hcg/<network>``: the HA chassis group of a network, which external ports write, and which
  follows the gateway of a router there (``link_network_ha_chassis_group`` in ``ovn_client.py``),
- ``link/<digest>``: the port of a switch that a port is plugged at, by its binding profile
  (``model.profiles``). Another port may be plugged there next, on another network: Ironic's do,
- ``metadata/<network>``: the network's metadata port, which each of its subnets reads and writes,
- ``port-fip/<port>``: the floating address that a port's row in the backend names, which each of
  its floating IPs writes (``_create_or_update_floatingip`` in ``ovn_client.py``),
- ``meter/acl``: the meters of what is logged, and what the drop group logs, which are of no group:
  each log object writes them. What the ACLs of groups log has no key: see ``apply.logs``.
"""

import dataclasses
import typing

from networking_workflow.model import keys as model_keys

_S = model_keys.Mode.SHARED
_X = model_keys.Mode.EXCLUSIVE


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """What a workflow of one resource type holds."""

    own: model_keys.Mode = _X  #: the resource itself
    references: typing.Mapping[str, model_keys.Mode] = dataclasses.field(default_factory=dict)
    #: reference type -> types of further keys with the same id, exclusive
    extra: typing.Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    #: type and id of further keys that all of the type have in common, exclusive
    common: tuple[tuple[str, str], ...] = ()


RULES: dict[str, Rule] = {
    # Its apply also writes the network's DNS row; ports' applies only add to that. The policy is
    # that of its ports without one of their own.
    "network": Rule(references={"qos_policy": _S}),
    "subnet": Rule(references={"network": _S}, extra={"network": ("metadata",)}),
    "port": Rule(
        references={
            "network": _S,
            "subnet": _S,
            "security_group": _S,
            "qos_policy": _S,
            "hcg": _X,
            "link": _X,
        }
    ),
    # Rules made or deleted together with their group are part of its workflow, and so is what
    # they refer to.
    "security_group": Rule(references={"security_group": _S, "address_group": _S}),
    "security_group_rule": Rule(
        references={"security_group": _S, "address_group": _S, "acl": _X},
    ),
    "address_group": Rule(),
    "qos_policy": Rule(),
    # Network and subnets are those of its gateway; the groups those of its interfaces' networks.
    "router": Rule(
        references={"port": _S, "network": _S, "subnet": _S, "qos_policy": _S, "hcg": _X}
    ),
    "router_interface": Rule(
        references={"router": _X, "port": _S, "network": _S, "subnet": _S, "hcg": _X}
    ),
    "floatingip": Rule(
        references={"router": _S, "port": _S, "network": _S, "qos_policy": _S, "port-fip": _X}
    ),
    # Applied by building its floating IP's load balancers anew, hence that one's keys.
    "port_forwarding": Rule(
        references={"floatingip": _X, "router": _S, "port": _S, "network": _S, "port-fip": _X}
    ),
    "trunk": Rule(references={"port": _S}),
    "subport": Rule(references={"trunk": _X, "port": _S}),
    "log": Rule(references={"security_group": _S, "port": _S}, common=(("meter", "acl"),)),
}


def keys_for(
    lane: str,
    resource_type: str,
    resource_id: str,
    references: typing.Iterable[tuple[str, str]] = (),
) -> dict[str, model_keys.Mode]:
    """Return every key of a workflow of this resource, each in the mode it needs, sorted by text.

    :raises ValueError: if the table has no rule for the resource type, or none for a reference.
    """
    rule = RULES.get(resource_type)
    if rule is None:
        raise ValueError(f"There is no rule for the keys of a {resource_type}.")
    takes = [(str(model_keys.Key(lane, resource_type, resource_id)), rule.own)]
    takes.extend((str(model_keys.Key(lane, *common)), _X) for common in rule.common)
    for reference_type, reference_id in references:
        mode = rule.references.get(reference_type)
        if mode is None:
            raise ValueError(f"A {resource_type} takes no key of a {reference_type}.")
        takes.append((str(model_keys.Key(lane, reference_type, reference_id)), mode))
        takes.extend(
            (str(model_keys.Key(lane, extra, reference_id)), _X)
            for extra in rule.extra.get(reference_type, ())
        )
    return model_keys.strongest(takes)


def acl_reference(rule: typing.Mapping[str, typing.Any]) -> tuple[str, str]:
    """Return the reference to the ACL that a security group rule's row or API dict asks for."""
    text = model_keys.acl_key(model_keys.DEFAULT_LANE, rule)
    return ("acl", text.partition("/")[2])
