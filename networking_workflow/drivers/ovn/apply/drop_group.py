# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The port group that drops whatever no security group allows.

Stock makes it when an API process starts, through a program of its own; here it is made when a port
needs it, also in a Northbound database that was emptied meanwhile. What it drops is logged from the
start, if a log object asks for that.
"""

from neutron.common.ovn import acl as ovn_acl
from neutron.common.ovn import constants as ovn_const

from networking_workflow.drivers.ovn import facts_logs, observe
from networking_workflow.drivers.ovn.apply import logs, mend
from networking_workflow.drivers.ovn.apply import work as apply_work
from networking_workflow.drivers.ovn.expect import logs as expect_logs

NAME = ovn_const.OVN_DROP_PORT_GROUP_NAME


#: Columns that ``pg_acl_add`` writes.
_LOGGED = ("log", "name", "meter", "severity")


def ensure(work: apply_work.Work) -> None:
    """Make the group if it is missing; another process that does so too makes this one fail."""
    nb = work.nb
    if observe.row(nb, "Port_Group", NAME) is not None:
        return
    known = facts_logs.read(work.context) or facts_logs.Logs()
    # Both of its ACLs are logged alike.
    columns = expect_logs.drop_group_rows(known, work.settings)[0].columns
    logged = {name: mend.plain(columns[name]) for name in _LOGGED}
    with nb.transaction(check_error=True) as txn:
        txn.add(nb.pg_add(NAME, acls=[]))
        for acl in ovn_acl.add_acls_for_drop_port_group(NAME):
            txn.add(nb.pg_acl_add(**{**acl, **logged}, may_exist=True))
    logs.log_drops(work)
