# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Trunks and subports: stock's own handler, called for the subports that are not as they should be.

The handler writes the subports' rows of Neutron too (owner, binding profile, status): their own
workflows follow, as children of this one.
"""

import typing

from neutron.objects import trunk as trunk_objects
from neutron.objects.ports import Port
from neutron.services.trunk import exceptions as trunk_exc
from neutron_lib.services.trunk import constants as trunk_const

from networking_workflow import releases
from networking_workflow.drivers.ovn import observe
from networking_workflow.drivers.ovn.apply import work as apply_work
from networking_workflow.drivers.ovn.expect import trunks as expect_trunks
from networking_workflow.model import errors


class _Freed(typing.NamedTuple):
    """What stock's handler wants of a subport that is no more."""

    port_id: str


def apply(work: apply_work.Work) -> None:
    """Make the trunk's subports children of its port, and Neutron say that it works.

    :raises MissingReference: if OVN lacks the trunk's port or a subport's.
    """
    _apply(work, read(work, work.target.resource_id))


def delete(work: apply_work.Work) -> None:
    """Free all subports of a trunk that is gone."""
    deleted = (work.target.snapshot or {}).get("deleted") or {}
    _free(work, [subport["port_id"] for subport in deleted.get("sub_ports") or ()])


def apply_subport(work: apply_work.Work) -> None:
    """Do what :func:`apply` does, for the subport's trunk."""
    _apply(work, read(work, read_subport(work).trunk_id))


def delete_subport(work: apply_work.Work) -> None:
    """Free the subport."""
    _free(work, [work.target.resource_id])


def require_row(work: apply_work.Work) -> None:
    """Return if Neutron has the trunk.

    :raises TrunkNotFound: otherwise.
    """
    read(work, work.target.resource_id)


def require_subport_row(work: apply_work.Work) -> None:
    """Return if Neutron has the subport.

    :raises SubPortNotFound: otherwise.
    """
    read_subport(work)


def read(work: apply_work.Work, trunk_id: str) -> typing.Any:
    """Return the trunk.

    :raises TrunkNotFound: if its row is gone.
    """
    found = trunk_objects.Trunk.get_object(work.context, id=trunk_id)
    if found is None:
        raise trunk_exc.TrunkNotFound(trunk_id=trunk_id)
    return found


def read_subport(work: apply_work.Work) -> typing.Any:
    """Return the target as a subport.

    :raises SubPortNotFound: if its row is gone.
    """
    port_id = work.target.resource_id
    found = trunk_objects.SubPort.get_object(work.context, port_id=port_id)
    if found is None:
        raise trunk_exc.SubPortNotFound(trunk_id="", port_id=port_id)
    return found


def _apply(work: apply_work.Work, trunk: typing.Any) -> None:
    handler = work.mech_driver.trunk_driver._handler
    parent = observe.row(work.nb, expect_trunks.LSP, trunk.port_id)
    if parent is None:
        _missing(trunk.port_id, "trunk's")
    if releases.gives_subports(handler, trunk.port_id):
        subports = {
            one.port_id: expect_trunks.Subport(one.port_id, one.segmentation_id)
            for one in trunk.sub_ports
        }
        for port_id in sorted(subports):
            if observe.row(work.nb, expect_trunks.LSP, port_id) is None:
                _missing(port_id, "subport's")
        unlike = {one.port_id for one in subports.values() if _differs(work, trunk.port_id, one)}
        _set(handler, trunk, unlike)
        rows = expect_trunks.rows(trunk.port_id, subports.values())
        apply_work.converge(
            work, lambda: rows, lambda found: _set(handler, trunk, {one.name for one in found})
        )
    if trunk.status != trunk_const.TRUNK_ACTIVE_STATUS:
        trunk.update(status=trunk_const.TRUNK_ACTIVE_STATUS)


def _missing(port_id: str, whose: str) -> typing.NoReturn:
    raise errors.MissingReference("port", port_id, f"OVN does not have the {whose} port {port_id}.")


def _set(handler: typing.Any, trunk: typing.Any, port_ids: set[str]) -> None:
    chosen = [one for one in trunk.sub_ports if one.port_id in port_ids]
    if chosen:
        handler._set_sub_ports(trunk.port_id, chosen)


def _differs(work: apply_work.Work, parent_id: str, subport: expect_trunks.Subport) -> bool:
    """Return whether Neutron's rows of a subport do not say yet that it is one."""
    port = Port.get_object(work.context, id=subport.port_id)
    wanted = {"parent_name": parent_id, "tag": subport.tag}
    return port is not None and (
        port.device_owner != trunk_const.TRUNK_SUBPORT_OWNER
        or any(not wanted.items() <= binding.profile.items() for binding in port.bindings)
    )


def _free(work: apply_work.Work, port_ids: typing.Iterable[str]) -> None:
    """Make ports that are subports no more ports of their own again."""
    freed = no_subports(work, port_ids)
    handler = work.mech_driver.trunk_driver._handler
    for port_id in freed:
        port = Port.get_object(work.context, id=port_id)
        lsp = observe.row(work.nb, expect_trunks.LSP, port_id)
        if port is not None and lsp is not None and _is_marked(port):
            handler._unset_sub_ports([_Freed(port_id)])
            work.connections.catch_up(work.pair)
    rows = expect_trunks.free_rows(freed)

    def write(found: apply_work.Differences) -> None:
        for name in sorted({one.name for one in found}):
            # The command writes ``tag`` as ``tag_request``.
            work.nb.set_lswitch_port(lport_name=name, parent_name=[], tag=[]).execute(
                check_error=True
            )

    apply_work.converge(work, lambda: rows, write)


def no_subports(work: apply_work.Work, port_ids: typing.Iterable[str]) -> list[str]:
    """Return those of the ports that are subports of no trunk."""
    return [
        port_id
        for port_id in port_ids
        if trunk_objects.SubPort.get_object(work.context, port_id=port_id) is None
    ]


def _is_marked(port: typing.Any) -> bool:
    return bool(
        port.device_owner == trunk_const.TRUNK_SUBPORT_OWNER
        or any("parent_name" in binding.profile for binding in port.bindings)
    )
