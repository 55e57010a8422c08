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


#: Types that few others rely on. Their keys are locked before all others, so that what a port
#: relies on stands together and takes one statement.
FIRST = frozenset({"acl", "hcg", "link", "metadata", "port", "security_group_rule"})


class Key(typing.NamedTuple):
    """One resource in one lane; written as ``lane:type/id``."""

    lane: str
    resource_type: str
    resource_id: str

    def __str__(self) -> str:
        return f"{self.lane}:{self.resource_type}/{self.resource_id}"

    @classmethod
    def parse(cls, text: str) -> "Key":
        """Return the key that is written so."""
        lane, _, resource = text.partition(":")
        resource_type, _, resource_id = resource.partition("/")
        return cls(lane, resource_type, resource_id)


def is_first(key: str) -> bool:
    """Return whether a key, as text, is of one of the types that are locked first."""
    return key[key.find(":") + 1 : key.find("/")] in FIRST


def strongest(takes: typing.Iterable[tuple[str, Mode]]) -> dict[str, Mode]:
    """Return each key once, in the order of locking, in the strongest mode that ``takes`` asks for.

    Those of :data:`FIRST` types come first, and either part is sorted by text. Whoever locks
    several keys follows this order: crosswise transactions cannot deadlock.
    """
    modes: dict[str, Mode] = {}
    for key, mode in takes:
        if modes.get(key) is not Mode.EXCLUSIVE:
            modes[key] = mode
    return {key: modes[key] for key in sorted(modes, key=lambda key: (not is_first(key), key))}


def digest(what: object) -> str:
    """Return a text of 40 characters that stands for ``what`` in a key."""
    return hashlib.sha1(repr(what).encode(), usedforsecurity=False).hexdigest()


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
    return str(Key(lane, "acl", f"{rule['security_group_id']}/{digest(match)}"))
