# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The switch ports of a trunk's subports: whose child each is, and under which tag.

The ports' own rows (``expect.ports``) say the same from their binding profiles, into which the
trunk's workflow writes it.
"""

import typing

from neutron.common.ovn import constants as ovn_const
from neutron_lib.services.trunk import constants as trunk_const

from networking_workflow.drivers.ovn import compare

LSP = "Logical_Switch_Port"


class Subport(typing.NamedTuple):
    """A subport."""

    port_id: str
    tag: int


def rows(parent_id: str, subports: typing.Iterable[Subport]) -> tuple[compare.Row, ...]:
    """Return a row for each subport."""
    return tuple(
        compare.Row(
            table=LSP,
            name=subport.port_id,
            columns={
                "parent_name": parent_id,
                "tag_request": subport.tag,
                "external_ids": compare.Keys(
                    wanted={ovn_const.OVN_DEVICE_OWNER_EXT_ID_KEY: trunk_const.TRUNK_SUBPORT_OWNER}
                ),
            },
        )
        for subport in subports
    )


def free_rows(port_ids: typing.Iterable[str]) -> tuple[compare.Row, ...]:
    """Return what holds for ports that are subports no more, where they still are."""
    return tuple(
        compare.Row(
            table=LSP,
            name=port_id,
            columns={"parent_name": "", "tag_request": None},
            optional=True,
        )
        for port_id in port_ids
    )
