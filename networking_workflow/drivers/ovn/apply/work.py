# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""One call of the driver: what it works with, and the loop that looks, writes and looks again."""

import dataclasses
import typing

from neutron.common.ovn import utils as ovn_utils
from neutron.db import ovn_revision_numbers_db as revisions
from neutron.db.models import ovn as revision_models
from neutron_lib.db import api as db_api

from networking_workflow.drivers import protocol
from networking_workflow.drivers.ovn import compare, observe, observe_nat
from networking_workflow.drivers.ovn import connections as ovn_connections
from networking_workflow.drivers.ovn import settings as ovn_settings
from networking_workflow.model import errors

#: Writes of one apply; the second one repairs what somebody else wrote at the same time, or what
#: an attempt that was given up did later.
WRITES = 2

_REVISION = "external_ids:neutron:revision_number"

#: What a call returns to be remembered: ``Target.applied`` of the next one.
Applied = typing.Mapping[str, typing.Any] | None

Rows = tuple[compare.Row, ...]
Differences = tuple[compare.Difference, ...]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What every kind of resource is given."""

    connections: ovn_connections.Connections
    pair: ovn_connections.Pair
    plugin: typing.Any
    mech_driver: typing.Any
    context: typing.Any  #: a fresh admin context
    settings: ovn_settings.OvnSettings
    target: protocol.Target

    @property
    def nb(self) -> typing.Any:
        """Return the Northbound API."""
        return self.pair.nb

    @property
    def client(self) -> typing.Any:
        """Return Neutron's ``OVNClient``."""
        return self.pair.client

    def bump_revision(self, resource: typing.Mapping[str, typing.Any], kind: str) -> None:
        """Tell stock's tools which revision OVN has.

        :raises StandardAttributeIDNotFound: if the resource's row is gone.
        """
        table = revision_models.OVNRevisionNumbers
        number = ovn_utils.get_revision_number(resource, kind)
        with db_api.CONTEXT_WRITER.using(self.context):
            rows = self.context.session.query(table).filter_by(
                resource_uuid=resource["id"], resource_type=kind
            )
            row = rows.first()
            if row is None or row.standard_attr_id is None:
                # Stock reads the whole resource, and says so if it is gone.
                revisions.bump_revision(self.context, resource, kind)
            elif row.revision_number != number:
                rows.update({table.revision_number: number})

    def forget_revision(self, resource_id: str, kind: str) -> None:
        """Tell stock's tools that OVN does not have the resource any more."""
        revisions.delete_revision(self.context, resource_id, kind)


def converge(
    work: Work,
    wanted: typing.Callable[[], Rows],
    write: typing.Callable[[Differences], None],
) -> bool:
    """Write until what is read back is what is ``wanted``; return whether anything was written.

    :raises BackendDiffers: if it still is not after :data:`WRITES` writes.
    :raises PermanentFailure: if a text cannot be written to OVN at all.
    """
    for written in range(WRITES + 1):
        rows = wanted()
        found = compare.differences(rows, observe.read(work.nb, rows))
        if not found:
            return written > 0
        if written < WRITES:
            _refuse_unspeakable(rows)
            _reset_revisions(work, found)
            write(found)
            work.connections.catch_up(work.pair)
    raise errors.BackendDiffers(tuple(str(one) for one in found))


def _refuse_unspeakable(rows: Rows) -> None:
    found = compare.unspeakable(rows)
    if found:
        raise errors.PermanentFailure("; ".join(found))


def touched(found: Differences, table: str, column: str = "") -> list[compare.Difference]:
    """Return the differences in one table, of one column if it is given."""
    return [one for one in found if one.table == table and (not column or one.column == column)]


def _reset_revisions(work: Work, found: Differences) -> None:
    """Lower revisions in OVN that are above the database's: stock would skip its own write."""
    for one in found:
        if one.column != _REVISION or one.found is None:
            continue
        if str(one.found).isdecimal() and int(one.found) <= int(one.expected):
            continue
        work.nb.db_set(
            one.table,
            record(work.nb, one.place),
            ("external_ids", {"neutron:revision_number": one.expected}),
        ).execute(check_error=True)


def record(nb: typing.Any, place: compare.Place) -> typing.Any:
    """Return the uuid of the row at ``place``, which is there."""
    table, name = place
    if table == "DHCP_Options":
        subnet_id = name.split("/")[0]
        rows = [one for one in observe.dhcp_rows(nb, subnet_id) if observe.dhcp_name(one) == name]
        return observe.in_use(rows).uuid
    if table == "NAT":
        return observe_nat.nat_rows(nb, name)[0].uuid
    if table == "Load_Balancer":
        return observe_nat.balancers_named(nb, name)[0].uuid
    return nb.lookup(table, name).uuid
