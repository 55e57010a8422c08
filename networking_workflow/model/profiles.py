# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Binding profiles: what ML2 keeps of one as JSON text, and the switch ports that it names."""

import json
import typing

from networking_workflow.model import keys

#: What a binding profile calls the switch ports that its port is plugged at; Ironic writes it.
LINKS = "local_link_information"


def parsed(profile: object) -> dict[str, typing.Any]:
    """Return what a profile says, which may be JSON text.

    Text that is no JSON says nothing, as for ML2 (``_get_profile`` in ``ml2/plugin.py``).
    """
    if isinstance(profile, str):
        profile = _loaded(profile)
    return dict(profile) if isinstance(profile, typing.Mapping) else {}


def _loaded(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def links(profile: object) -> frozenset[str]:
    """Return the ids of the switch ports that a profile names; it may be JSON text."""
    if isinstance(profile, str) and LINKS not in profile:
        return frozenset()
    return frozenset(each for link in _named(parsed(profile)) for each in ids(link))


def ids(link: object) -> frozenset[str]:
    """Return the ids of one switch port: one by each name of its switch that is given.

    A switch has two names there, and nothing here knows both of one that is given by either. Ironic
    takes no link without ``switch_id`` and ``port_id`` (``LOCAL_LINK_SCHEMA`` in its
    ``api/controllers/v1/utils.py``), so that two of its ports have an id in common.
    """
    if not isinstance(link, typing.Mapping):
        return frozenset()
    return frozenset(
        keys.digest((str(link[switch]).lower(), str(link.get("port_id"))))
        for switch in ("switch_id", "switch_info")
        if link.get(switch)
    )


def without(profile: object, taken: typing.Collection[str]) -> dict[str, typing.Any]:
    """Return a profile that names no switch port with one of these ids any more."""
    said = parsed(profile)
    left = [link for link in _named(said) if not ids(link) & frozenset(taken)]
    return said | {LINKS: left}


def _named(profile: typing.Mapping[str, typing.Any]) -> list[object]:
    named = profile.get(LINKS)
    return named if isinstance(named, list) else []
