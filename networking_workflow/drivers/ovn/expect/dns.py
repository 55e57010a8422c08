# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The names under which OVN's resolver answers for a port, where the dns extension is in use."""

import collections
import ipaddress
import typing

from networking_workflow.drivers.ovn import compare, facts
from networking_workflow.drivers.ovn.expect import networks


def rows(known: facts.Port) -> tuple[compare.Row, ...]:
    """Return the records in the network's DNS row; none if the port has no name."""
    port = known.port
    if not (port.get("dns_name") and port.get("dns_assignment") and port["device_id"]):
        return ()
    return (
        compare.Row(
            table="DNS",
            name=networks.switch_name(port["network_id"]),
            columns={"records": compare.Keys(wanted=records(port, known.network))},
        ),
    )


def records(port: facts.Dict, network: facts.Dict) -> dict[str, typing.Any]:
    """Return names to addresses, and addresses to the full name."""
    domain = (network.get("dns_domain") or "").rstrip(".")
    names: dict[str, list[str]] = collections.defaultdict(list)
    reverse: dict[str, typing.Any] = {}
    for one in port["dns_assignment"]:
        full = one["fqdn"].rstrip(".")
        local = f"{one['hostname']}.{domain}"
        for name in {one["hostname"], full, *([local] if domain else [])}:
            names[name].append(one["ip_address"])
        reverse[ipaddress.ip_address(one["ip_address"]).reverse_pointer] = full
    return {name: compare.Words(frozenset(ips)) for name, ips in names.items()} | reverse
