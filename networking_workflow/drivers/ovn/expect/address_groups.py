# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""An address group: one address set for each IP version, also when it is empty."""

import ipaddress

from neutron.common.ovn import utils as ovn_utils

from networking_workflow.drivers.ovn import compare, facts


def rows(group: facts.Dict) -> tuple[compare.Row, ...]:
    """Return both address sets."""
    networks = [ipaddress.ip_network(one, strict=False) for one in group["addresses"] or ()]
    return tuple(
        compare.Row(
            table="Address_Set",
            name=set_name(group["id"], version),
            columns={
                "addresses": frozenset(str(one) for one in networks if one.version == version),
                "external_ids": compare.Keys(
                    wanted={
                        "neutron:address_group_id": group["id"],
                        "neutron:revision_number": str(group["revision_number"]),
                    }
                ),
            },
        )
        for version in (4, 6)
    )


def set_name(group_id: str, version: int) -> str:
    """Return the name of the group's address set of one IP version."""
    return str(ovn_utils.ovn_ag_addrset_name(group_id, f"ip{version}"))
