# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The port group that drops whatever no security group allows.

Stock makes it when an API process starts, through a program of its own; here it is made when a port
needs it, also in a Northbound database that was emptied meanwhile.
"""

import typing

from neutron.common.ovn import acl as ovn_acl
from neutron.common.ovn import constants as ovn_const

from networking_workflow.drivers.ovn import observe

NAME = ovn_const.OVN_DROP_PORT_GROUP_NAME


def ensure(nb: typing.Any) -> None:
    """Make the group if it is missing; another process that does so too makes this one fail."""
    if observe.row(nb, "Port_Group", NAME) is not None:
        return
    with nb.transaction(check_error=True) as txn:
        txn.add(nb.pg_add(NAME, acls=[]))
        for acl in ovn_acl.add_acls_for_drop_port_group(NAME):
            txn.add(nb.pg_acl_add(**acl, may_exist=True))
