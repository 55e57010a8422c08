# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""DNS records of ports: OVN answers them itself, from one row that all ports of a switch share."""

import ipaddress
import typing

from networking_workflow.drivers.ovn import compare, facts
from networking_workflow.drivers.ovn.expect import networks

Records = typing.Mapping[str, str]


def records(port: facts.Dict, network: facts.Dict) -> dict[str, str]:
    """Return name to addresses, and reverse name to full name; none for a port without a name.

    Only ports of a device have records: OVN would answer for a name that nobody carries.
    """
    found: dict[str, list[str]] = {}
    reverse: dict[str, str] = {}
    if not (port.get("dns_name") and port.get("device_id")):
        return {}
    domain = (network.get("dns_domain") or "").rstrip(".")
    for one in port.get("dns_assignment") or ():
        host, full, address = one["hostname"], one["fqdn"].rstrip("."), one["ip_address"]
        for name in dict.fromkeys((host, f"{host}.{domain}" if domain else host, full)):
            found.setdefault(name, []).append(address)
        reverse[ipaddress.ip_address(address).reverse_pointer] = full
    return {name: " ".join(addresses) for name, addresses in found.items()} | reverse


def rows(known: facts.Port) -> tuple[compare.Row, ...]:
    """Return the row of the port's switch, as far as the port answers for it."""
    wanted = records(known.port, known.network)
    if not wanted and not known.lost_records:
        return ()
    row = compare.Row(
        table="DNS",
        name=networks.switch_name(known.port["network_id"]),
        columns={"records": compare.Keys(wanted=wanted, unwanted=known.lost_records)},
        optional=not wanted,
    )
    return (row,)
