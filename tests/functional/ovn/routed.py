# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A small routed cloud that stock's ML2/OVN has made, for comparing the driver with it.

Stock's API writes to OVN itself here; the driver is called besides, and must agree.
"""

import json
import typing

from neutron_lib.plugins import constants as plugin_constants
from neutron_lib.plugins import directory

from lab.neutron import config as lab_config
from tests.functional.ovn import cloud, noticing

Made = dict[str, typing.Any]

PHYSICAL = {"provider:network_type": "vlan", "provider:physical_network": "physnet1"}


class Neutron(cloud.StockNeutron):
    """Stock with routers, QoS and port forwardings."""

    def profile(self) -> lab_config.Profile:
        return lab_config.Profile(
            database_url=self.database.url,
            core_plugin=self.core_plugin,
            mechanism_drivers=("ovn",),
            service_plugins=("ovn-router", "qos", "port_forwarding"),
            extension_drivers=("port_security", "qos"),
            ovn=self.ovn,
            tenants=True,
        )

    def delete_forwarding(self, floatingip_id: str, forwarding_id: str) -> None:
        self.call("DELETE", f"floatingips/{floatingip_id}/port_forwardings/{forwarding_id}")

    def policy(self, **rules: Made) -> str:
        """Make a QoS policy with rules by their types, and return its id."""
        context, qos = self.context(), directory.get_plugin(plugin_constants.QOS)
        body = {"name": "policy", "project_id": "p", "shared": False, "is_default": False}
        policy_id = qos.create_policy(context, {"policy": body})["id"]
        for kind, rule in rules.items():
            create = getattr(qos, f"create_policy_{kind}_rule")
            create(context, policy_id, {f"{kind}_rule": rule})
        return str(policy_id)


class World:
    """Two networks behind a router with a gateway, two ports, and a floating IP at the first."""

    def __init__(self, neutron: Neutron, conductor: cloud.Conductor) -> None:
        self.neutron, self.conductor = neutron, conductor
        external = neutron.create(
            "network",
            name="external",
            **PHYSICAL,
            **{"router:external": True, "provider:segmentation_id": 130},
        )
        self.external = external["id"]
        neutron.create("subnet", network_id=self.external, ip_version=4, cidr="203.0.113.0/24")
        self.router = neutron.create(
            "router", name="router", external_gateway_info={"network_id": self.external}
        )["id"]
        self.network = neutron.create("network", name="inner")["id"]
        subnet = {"network_id": self.network, "ip_version": 4, "cidr": "10.1.0.0/24"}
        self.subnet = neutron.create("subnet", **subnet)["id"]
        interface = {"subnet_id": self.subnet}
        neutron.call("PUT", f"routers/{self.router}/add_router_interface", interface)
        self.ports = [
            neutron.create("port", network_id=self.network, **{"binding:host_id": "cmp1"})
            for _ in range(3)
        ]
        self.port, self.other, self.third = (port["id"] for port in self.ports)

    def floatingip(self, **values: typing.Any) -> Made:
        made: Made = self.neutron.create("floatingip", floating_network_id=self.external, **values)
        return made

    def forwarding(self, floatingip_id: str, **values: typing.Any) -> str:
        port = self.ports[0]
        body = {
            "internal_port_id": port["id"],
            "internal_ip_address": port["fixed_ips"][0]["ip_address"],
            "protocol": "tcp",
            **values,
        }
        path = f"floatingips/{floatingip_id}/port_forwardings"
        made = self.neutron.call("POST", path, {"port_forwarding": body})
        return str(made["port_forwarding"]["id"])

    def apply(self, kind: str, resource_id: str) -> list[str]:
        """Apply, and return the columns that were noticed to differ."""
        with noticing.noticed() as found:
            self.conductor.apply(kind, resource_id)
        return noticing.names(found)

    def delete(self, kind: str, resource_id: str, **deleted: typing.Any) -> None:
        self.conductor.apply(kind, resource_id, "delete", {"deleted": deleted})

    def rows(self) -> str:
        """Return all that floating IPs, forwardings and policies have in OVN."""
        return self.neutron.ovn.nbctl(
            *("--", "--columns=name,options,external_ids", "list", "Logical_Switch_Port"),
            *("--", "list", "NAT"),
            *("--", "--columns=name,nat,load_balancer", "list", "Logical_Router"),
            *("--", "--columns=name,load_balancer", "list", "Logical_Switch"),
            *("--", "list", "Load_Balancer"),
            # Not their uuids: they are made again.
            *("--", "--columns=direction,match,priority,bandwidth,action", "list", "QoS"),
        )

    def balancers(self) -> list[str]:
        """Return the load balancers and who holds them, without their uuids."""
        ovn, columns = self.neutron.ovn, "name,protocol,vips,external_ids"
        texts = ovn.nbctl(f"--columns={columns}", "list", "Load_Balancer").split("\n\n")
        for kind, holder in (("lr", self.router), ("ls", self.network), ("ls", self.external)):
            said = ovn.nbctl(f"{kind}-lb-list", f"neutron-{holder}").splitlines()
            texts += [f"{holder} {' '.join(line.split()[1:])}" for line in said]
        return sorted(text.strip() for text in texts)

    def qos(self) -> list[str]:
        """Return the rows of QoS without their uuids, which change."""
        columns = "direction,match,priority,bandwidth,action,external_ids"
        said = self.neutron.ovn.nbctl("--format=json", f"--columns={columns}", "list", "QoS")
        return [json.dumps(row) for row in json.loads(said)["data"]]

    def find_qos(self, key: str, owner: str, direction: str) -> str:
        """Return the UUID of the QoS row of a port or a floating IP."""
        name = key.replace(":", "\\:")
        conditions = (f'external_ids:{name}="{owner}"', f"direction={direction}")
        found = self.neutron.ovn.nbctl("--bare", "--columns=_uuid", "find", "QoS", *conditions)
        assert len(found.split()) == 1, found
        return found.strip()

    def put_back(self, row: str, network: str) -> None:
        """Make a row of QoS that :meth:`qos` returned earlier."""
        direction, match, priority, _bandwidth, _action, external_ids = json.loads(row)
        ids = [
            f'external_ids:{key.replace(":", chr(92) + ":")}="{value}"'
            for key, value in external_ids[1]
        ]
        self.neutron.ovn.nbctl(
            *("--", "--id=@row", "create", "QoS", f"direction={direction}", f"priority={priority}"),
            *("match=" + json.dumps(match), "bandwidth:rate=5", *ids, "--"),
            *("add", "Logical_Switch", f"neutron-{network}", "qos_rules", "@row"),
        )

    def nat(self, floatingip_id: str) -> str:
        """Return the UUID of the NAT row of a floating IP."""
        return self.find("NAT", f'external_ids:neutron\\:fip_id="{floatingip_id}"')

    def find(self, table: str, condition: str) -> str:
        """Return the UUID of the one row that fits."""
        ovn = self.neutron.ovn
        found = ovn.nbctl("--bare", "--columns=_uuid", "find", table, condition).split()
        assert len(found) == 1, f"{table} {condition}: {found}"
        return found[0]
