# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Port forwardings: the load balancers of their floating IP.

One for each protocol, with a VIP for each forwarding of a single port; a forwarding of several
ports has one for each of them, whose name ends with the external port
(``neutron/services/portforwarding/drivers/ovn/driver.py``, ``_get_lb_attributes``).
"""

import typing

from neutron.common.ovn import constants as ovn_const
from neutron.common.ovn import utils as ovn_utils
from neutron.services.portforwarding import constants as pf_const

from networking_workflow.drivers.ovn import compare, facts, facts_nat

LOAD_BALANCER = "Load_Balancer"


def rows(known: facts_nat.FloatingIp) -> tuple[compare.Row, ...]:
    """Return the load balancers of the floating IP."""
    if known.router is None:
        return ()
    vips: dict[tuple[str, str], dict[str, str]] = {}
    for forwarding in known.forwardings:
        pairs = tuple(_unrolled(forwarding))
        for external, internal in pairs:
            suffix = str(external) if len(pairs) > 1 else ""
            name = balancer_name(known.floatingip["id"], forwarding["protocol"], suffix)
            vip = f"{known.floatingip['floating_ip_address']}:{external}"
            target = f"{forwarding['internal_ip_address']}:{internal}"
            vips.setdefault((name, forwarding["protocol"]), {})[vip] = target
    return tuple(_row(known, name, protocol, vips[name, protocol]) for name, protocol in vips)


def balancer_name(floatingip_id: str, protocol: str, suffix: str = "") -> str:
    """Return the name of a load balancer."""
    kind = pf_const.LB_PROTOCOL_MAP[protocol]
    name = f"{pf_const.PORT_FORWARDING_PREFIX}-{floatingip_id}-{kind}"
    return f"{name}-{suffix}" if suffix else name


def _row(
    known: facts_nat.FloatingIp, name: str, protocol: str, vips: dict[str, str]
) -> compare.Row:
    router = ovn_utils.ovn_name(known.floatingip["router_id"])
    external_ids = {
        ovn_const.OVN_DEVICE_OWNER_EXT_ID_KEY: pf_const.PORT_FORWARDING_PLUGIN,
        ovn_const.OVN_FIP_EXT_ID_KEY: known.floatingip["id"],
        ovn_const.OVN_ROUTER_NAME_EXT_ID_KEY: router,
    }
    if name == balancer_name(known.floatingip["id"], protocol):
        # Those of ranges have none in stock.
        revision = str(known.floatingip["revision_number"])
        external_ids[ovn_const.OVN_REV_NUM_EXT_ID_KEY] = revision
    return compare.Row(
        table=LOAD_BALANCER,
        name=name,
        columns={
            "copies": 1,
            "protocol": pf_const.LB_PROTOCOL_MAP[protocol],
            "vips": compare.Keys(wanted=vips, closed=True),
            "routers": frozenset({router}),
            "switches": frozenset(ovn_utils.ovn_name(one) for one in known.inner_networks),
            "external_ids": compare.Keys(wanted=external_ids),
        },
    )


def _unrolled(forwarding: facts.Dict) -> typing.Iterator[tuple[int, int]]:
    """Yield pairs of external and internal port; one internal port may serve a whole range."""
    first, last = _range(forwarding, "external_port")
    inner_first, inner_last = _range(forwarding, "internal_port")
    step = 0 if inner_first == inner_last else 1
    for offset in range(last - first + 1):
        yield first + offset, inner_first + offset * step


def _range(forwarding: facts.Dict, name: str) -> tuple[int, int]:
    text = str(forwarding.get(f"{name}_range") or forwarding[name])
    first, _, last = text.partition(":")
    return int(first), int(last or first)
