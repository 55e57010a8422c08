# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Read rows of NAT, load balancers and QoS back, as plain values (see ``observe``)."""

import collections
import typing

from neutron.common.ovn import constants as ovn_const
from neutron.services.portforwarding import constants as pf_const

from networking_workflow.drivers.ovn import compare, refs

Columns = dict[str, typing.Any]

_FIP_ID = ovn_const.OVN_FIP_EXT_ID_KEY


def nat_rows(nb: typing.Any, floatingip_id: str) -> list[typing.Any]:
    """Return the NAT rows of a floating IP, the one that counts first.

    Its uuid is the floating IP's id, but of rows that earlier releases of Neutron made.
    """
    with nb.ovsdb_connection.lock:
        found = [
            one
            for one in nb.tables["NAT"].rows.values()
            if str(one.uuid) == floatingip_id or one.external_ids.get(_FIP_ID) == floatingip_id
        ]
    return sorted(found, key=lambda one: (str(one.uuid) != floatingip_id, str(one.uuid)))


def ports_with_address(nb: typing.Any, address: str) -> frozenset[str]:
    """Return the names of the switch ports that name a floating address."""
    with nb.ovsdb_connection.lock:
        return frozenset(
            str(one.name)
            for one in nb.tables["Logical_Switch_Port"].rows.values()
            if one.external_ids.get(ovn_const.OVN_PORT_FIP_EXT_ID_KEY) == address
        )


def balancers(nb: typing.Any, floatingip_id: str) -> list[typing.Any]:
    """Return the load balancers of a floating IP's port forwardings."""
    prefix = f"{pf_const.PORT_FORWARDING_PREFIX}-{floatingip_id}-"
    with nb.ovsdb_connection.lock:
        return [
            one for one in nb.tables["Load_Balancer"].rows.values() if one.name.startswith(prefix)
        ]


class QosRows:
    """All QoS rows as they are now, by whose they are and by match: for asking many times."""

    def __init__(self, nb: typing.Any) -> None:
        self._owned: dict[tuple[str, str, str], list[typing.Any]] = collections.defaultdict(list)
        self._matching: dict[tuple[str, str], list[typing.Any]] = collections.defaultdict(list)
        with nb.ovsdb_connection.lock:
            for row in nb.tables["QoS"].rows.values():
                direction = refs.text(row, "direction")
                for key, owner_id in refs.items(row, "external_ids"):
                    self._owned[key, owner_id, direction].append(row)
                self._matching[refs.text(row, "match"), direction].append(row)

    def at(self, wanted: compare.Row) -> list[typing.Any]:
        """Return the rows that are at the place of ``wanted``: by whose they are, or by match."""
        owner, _, direction = wanted.name.partition(" ")
        key, _, owner_id = owner.partition("=")
        match = wanted.columns.get("match", "")
        found = {row.uuid: row for row in self._owned.get((key, owner_id, direction), ())}
        if match:
            found.update((row.uuid, row) for row in self._matching.get((match, direction), ()))
        return [found[uuid] for uuid in sorted(found, key=str)]

    @property
    def owners(self) -> frozenset[str]:
        """Return the ids of all that has rows."""
        return frozenset(owner_id for _, owner_id, _ in self._owned)


def holders(nb: typing.Any, table: str, column: str, row: typing.Any) -> frozenset[str]:
    """Return the names of the routers or switches that refer to ``row`` in ``column``."""
    with nb.ovsdb_connection.lock:
        return frozenset(
            str(one.name)
            for one in nb.tables[table].rows.values()
            if refs.refers_to(one, column, row)
        )


def nat(nb: typing.Any, wanted: compare.Row) -> Columns | None:
    """Read a NAT row; its name is the floating IP's id."""
    found = nat_rows(nb, wanted.name)
    if not found:
        return None
    first = found[0]
    return {
        "router": ",".join(sorted(holders(nb, "Logical_Router", "nat", first))),
        "copies": len(found),
        "type": first.type,
        "logical_ip": first.logical_ip,
        "external_ip": first.external_ip,
        "logical_port": next(iter(first.logical_port), ""),
        "external_mac": next(iter(first.external_mac), ""),
        "gateway_port": next((str(one.name) for one in first.gateway_port), ""),
        "options": dict(first.options),
        "external_ids": dict(first.external_ids),
    }


def load_balancer(nb: typing.Any, wanted: compare.Row) -> Columns | None:
    """Read a load balancer."""
    found = balancers_named(nb, wanted.name)
    if not found:
        return None
    first = found[0]
    return {
        "copies": len(found),
        "protocol": next(iter(first.protocol), ""),
        "vips": dict(first.vips),
        "routers": holders(nb, "Logical_Router", "load_balancer", first),
        "switches": holders(nb, "Logical_Switch", "load_balancer", first),
        "external_ids": dict(first.external_ids),
    }


def balancers_named(nb: typing.Any, name: str) -> list[typing.Any]:
    """Return the load balancers of one name, which OVN does not keep unique; the first counts."""
    with nb.ovsdb_connection.lock:
        found = [one for one in nb.tables["Load_Balancer"].rows.values() if one.name == name]
    return sorted(found, key=lambda one: str(one.uuid))


def qos_columns(nb: typing.Any, found: list[typing.Any]) -> Columns | None:
    """Return the columns of the first row; None: there is none."""
    if not found:
        return None
    first = found[0]
    return {
        "switch": ",".join(sorted(holders(nb, "Logical_Switch", "qos_rules", first))),
        "copies": len(found),
        "priority": first.priority,
        "match": first.match,
        "bandwidth": dict(first.bandwidth),
        "action": dict(first.action),
        "external_ids": dict(first.external_ids),
    }
