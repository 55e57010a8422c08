# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Address groups: two address sets."""

from neutron.common.ovn import constants as ovn_const

from networking_workflow.drivers.ovn import observe
from networking_workflow.drivers.ovn.apply import work as apply_work
from networking_workflow.drivers.ovn.expect import address_groups as expect_address_groups


def apply(work: apply_work.Work) -> None:
    """Make OVN hold the group's addresses."""
    group = work.plugin.get_address_group(work.context, work.target.resource_id)
    wanted = expect_address_groups.rows(group)

    def write(found: apply_work.Differences) -> None:
        if any(one.missing for one in found):
            work.client.create_address_group(work.context, group)
        if not all(one.missing for one in found):
            work.client.update_address_group(work.context, group)
        for one in found:
            column, _, key = one.column.partition(":")
            if key and observe.row(work.nb, one.table, one.name) is not None:
                work.nb.db_set(one.table, one.name, (column, {key: one.expected})).execute(
                    check_error=True
                )

    apply_work.converge(work, lambda: wanted, write)
    work.bump_revision(group, ovn_const.TYPE_ADDRESS_GROUPS)


def delete(work: apply_work.Work) -> None:
    """Make OVN forget both address sets."""
    work.client.delete_address_group(work.context, work.target.resource_id)
