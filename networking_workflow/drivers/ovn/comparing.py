# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Compares the Northbound database with Neutron's rows, and writes to neither (``drivers.shadow``).

What must be there comes from where the driver's own read-back takes it. Revision numbers are left
out: stock's lag behind the database after changes of status. So is what an ACL says of a log object
while it logs nothing: stock leaves the name of a disabled one there.
"""

import collections.abc
import typing

from neutron.common.ovn import constants as ovn_const

from networking_workflow.drivers import protocol
from networking_workflow.drivers.ovn import base, compare, connections, observe, seams, wanted
from networking_workflow.drivers.ovn import errors as ovn_errors
from networking_workflow.drivers.ovn.apply import work as apply_work
from networking_workflow.drivers.ovn.expect import logs as expect_logs
from networking_workflow.model import errors, states

_REVISION = f"external_ids:{ovn_const.OVN_REV_NUM_EXT_ID_KEY}"

_OF_LOGS = expect_logs.COLUMNS - {"log"}


class OvnComparing(base.OnOvn):
    """``drivers.shadow.Comparing`` for ML2/OVN, on connections that take no transaction.

    :param timeout_s: twice the longest time that the server may take to answer.
    """

    kinds = wanted.KINDS
    pings_apart = False

    def __init__(self, mech_driver: typing.Any, *, plugin: typing.Any, timeout_s: float) -> None:
        own = connections.Connections(timeout_s, read_only=True)
        super().__init__(mech_driver, plugin, own)

    def differences(self, target: protocol.Target) -> list[str]:
        """See ``Comparing.differences``."""
        pair = self._connect()
        work = self._work(pair, target)
        with seams.own_connections(pair):
            try:
                return list(_differences(work))
            except errors.WorkflowError:
                raise
            except ovn_errors.GONE as gone:
                # Its delete has been committed meanwhile; the next attempt finds the row gone.
                raise errors.TransientFailure(f"{type(gone).__name__}: {gone}") from gone
            except ovn_errors.EXPECTED as failed:
                raise self._understand(pair, failed) from failed


def _differences(work: apply_work.Work) -> collections.abc.Iterator[str]:
    kind = wanted.KINDS[work.target.resource_type]
    deleted = work.target.operation is states.Operation.DELETE
    rows = (kind.without if deleted else kind.rows)(work)
    silent = {row.place for row in rows if row.columns.get("log") is False}
    for one in compare.differences(rows, observe.read(work.nb, rows)):
        unheard = one.place in silent and one.column.partition(":")[0] in _OF_LOGS
        if one.column != _REVISION and not unheard:
            yield str(one)
    if not deleted:
        for resource_type, resource_id in kind.unlike(work):
            yield f"{resource_type} {resource_id} is not as this change wants it"
