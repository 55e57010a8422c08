# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Port forwardings, each applied as all load balancers of its floating IP: they share rows."""

from neutron.objects import port_forwarding as pf_objects
from neutron.services.portforwarding.common import exceptions as pf_exc
from neutron_lib.exceptions import l3 as l3_exc

from networking_workflow.drivers.ovn.apply import floatingips
from networking_workflow.drivers.ovn.apply import work as apply_work


def apply(work: apply_work.Work) -> None:
    """Make OVN hold the load balancers of the forwarding's floating IP.

    :raises MissingReference: as for floating IPs.
    """
    floatingip_id = floatingip_of(work)
    if not floatingip_id:
        return
    try:
        floatingips.converge(work, floatingip_id)
    except l3_exc.FloatingIPNotFound:
        floatingips.remove(work, floatingip_id)


def delete(work: apply_work.Work) -> None:
    """Make OVN forget the forwarding: what is left of its floating IP is what it must hold."""
    apply(work)


def require_row(work: apply_work.Work) -> None:
    """Return if Neutron has the port forwarding.

    :raises PortForwardingNotFound: otherwise.
    """
    target = work.target.resource_id
    if pf_objects.PortForwarding.get_object(work.context, id=target) is None:
        raise pf_exc.PortForwardingNotFound(id=target)


def floatingip_of(work: apply_work.Work) -> str:
    """Return the floating IP, "" if nobody knows it: then its own workflow sees to the rest."""
    deleted = (work.target.snapshot or {}).get("deleted") or {}
    if "floatingip_id" in deleted:
        return str(deleted["floatingip_id"])
    found = pf_objects.PortForwarding.get_object(work.context, id=work.target.resource_id)
    return str(found.floatingip_id) if found else ""
