# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Router interfaces: the router's port, and what of the router depends on its interfaces."""

from neutron.common.ovn import constants as ovn_const
from neutron.common.ovn import utils as ovn_utils
from neutron_lib import exceptions as n_exc
from neutron_lib.exceptions import l3 as l3_exc

from networking_workflow.drivers.ovn import compare, facts_l3, observe
from networking_workflow.drivers.ovn.apply import load_balancers, routers
from networking_workflow.drivers.ovn.apply import work as apply_work
from networking_workflow.drivers.ovn.expect import routers as expect_routers
from networking_workflow.model import errors


def apply(work: apply_work.Work) -> None:
    """Make OVN hold the interface, and the router's gateway ports and NAT follow.

    :raises MissingReference: if OVN lacks the router, the port or its network.
    """
    port_id = work.target.resource_id
    known = facts_l3.read_router(
        work.plugin, work.context, facts_l3.router_of(work.context, port_id)
    )
    if not ovn_utils.is_ovn_provider_router(known.router):
        return
    own = [one for one in known.interfaces if one.port["id"] == port_id]
    if not own:
        raise n_exc.PortNotFound(port_id=port_id)
    router = expect_routers.router_name(known.id)
    if observe.row(work.nb, expect_routers.ROUTER, router) is None:
        raise errors.MissingReference(
            "router", known.id, f"OVN does not have the interface's router {router}."
        )
    routers.converge(work, known, own)
    load_balancers.follow_interfaces(work, known.id)
    work.bump_revision(own[0].port, ovn_const.TYPE_ROUTER_PORTS)
    work.bump_revision(known.router, ovn_const.TYPE_ROUTERS)


def delete(work: apply_work.Work) -> None:
    """Make OVN forget the interface, and the router's gateway ports and NAT follow."""
    port_id = work.target.resource_id
    name = expect_routers.port_name(port_id)
    gone = compare.Row(table=expect_routers.PORT, name=name, columns={}, absent=True)
    there = observe.row(work.nb, expect_routers.PORT, name)
    mac = there.mac if there is not None else ""
    known = router_left(work)
    if known is not None and _is_there(work, known):
        routers.converge(work, known, gone=[gone])
        load_balancers.follow_interfaces(work, known.id)
        work.bump_revision(known.router, ovn_const.TYPE_ROUTERS)
    else:
        apply_work.converge(work, lambda: (gone,), lambda _found: _remove(work, name))
    if mac:
        work.client.delete_mac_binding_entries_by_mac(mac)
    work.forget_revision(port_id, ovn_const.TYPE_ROUTER_PORTS)


def require_row(work: apply_work.Work) -> None:
    """Return if Neutron has the interface.

    :raises PortNotFound: otherwise.
    """
    facts_l3.router_of(work.context, work.target.resource_id)


def router_left(work: apply_work.Work) -> facts_l3.Router | None:
    """Return the router that the interface was of; None: it is gone, too."""
    deleted = (work.target.snapshot or {}).get("deleted") or {}
    if not deleted.get("router_id"):
        return None
    try:
        return facts_l3.read_router(work.plugin, work.context, deleted["router_id"])
    except l3_exc.RouterNotFound:
        return None


def _is_there(work: apply_work.Work, known: facts_l3.Router) -> bool:
    router = expect_routers.router_name(known.id)
    return observe.row(work.nb, expect_routers.ROUTER, router) is not None


def _remove(work: apply_work.Work, name: str) -> None:
    holder = next(
        (
            str(router.name)
            for router in work.nb.tables[expect_routers.ROUTER].rows.values()
            if any(str(port.name) == name for port in router.ports)
        ),
        None,
    )
    work.nb.lrp_del(name, holder, if_exists=True).execute(check_error=True)
