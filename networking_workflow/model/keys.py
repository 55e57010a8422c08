# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Keys: what a workflow holds while it is unfinished, and in which mode."""

import enum
import hashlib
import ipaddress
import typing

#: The chain of drivers that a workflow belongs to when nothing else is configured.
DEFAULT_LANE = "default"

#: Longest key in characters: lane (32), type, id (36) and for ACL keys a digest (40).
MAX_KEY_LENGTH = 128


class Mode(enum.StrEnum):
    """How a workflow holds a key."""

    SHARED = "S"  #: relies on the resource
    EXCLUSIVE = "X"  #: changes the resource


class Key(typing.NamedTuple):
    """One resource in one lane; written as ``lane:type/id``, and sorted by that text."""

    lane: str
    resource_type: str
    resource_id: str

    def __str__(self) -> str:
        return f"{self.lane}:{self.resource_type}/{self.resource_id}"


def strongest(takes: typing.Iterable[tuple[str, Mode]]) -> dict[str, Mode]:
    """Return each key once, sorted, in the strongest mode that ``takes`` asks for."""
    modes: dict[str, Mode] = {}
    for key, mode in takes:
        if modes.get(key) is not Mode.EXCLUSIVE:
            modes[key] = mode
    return dict(sorted(modes.items()))


def acl_key(lane: str, rule: typing.Mapping[str, typing.Any]) -> str:
    """Return the key of the ACL that a security group rule's row or API dict asks for.

    Equal rules of one group share one ACL in OVN, so a delete of one must not overlap a create of
    its twin; the match is normalised as OVN does (host bits of the prefix cleared).
    """
    prefix = rule.get("remote_ip_prefix")
    match = (
        rule.get("direction"),
        rule.get("ethertype"),
        rule.get("protocol"),
        rule.get("port_range_min"),
        rule.get("port_range_max"),
        str(ipaddress.ip_network(str(prefix), strict=False)) if prefix else None,
        rule.get("remote_group_id"),
        rule.get("remote_address_group_id"),
    )
    digest = hashlib.sha1(repr(match).encode(), usedforsecurity=False).hexdigest()
    return str(Key(lane, "acl", f"{rule['security_group_id']}/{digest}"))
