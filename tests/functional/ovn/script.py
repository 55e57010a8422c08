# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A cloud with something of everything that OVN holds, made by API calls in a fixed order.

Addresses are given, so that two clouds differ by ids only.
"""

import typing

from neutron.db import segments_db
from neutron_lib import context as neutron_context

from tests.functional.ovn import cloud

Made = dict[str, dict[str, typing.Any]]

DHCP_OPTIONS = [
    {"opt_name": "ntp-server", "opt_value": "10.1.0.9", "ip_version": 4},
    {"opt_name": "domain-name", "opt_value": "vm.example", "ip_version": 4},
]

RULES: tuple[dict[str, typing.Any], ...] = (
    {"protocol": "tcp", "port_range_min": 80, "port_range_max": 80},
    {"protocol": "udp", "port_range_min": 5000, "port_range_max": 5010},
    {"protocol": "132", "port_range_min": 7, "port_range_max": 9},
    {"protocol": "icmp", "port_range_min": 8, "port_range_max": 0},
    {"protocol": "icmp"},
    {"protocol": "ipv6-icmp", "ethertype": "IPv6", "port_range_min": 128},
    {"protocol": "112"},
    {"remote_ip_prefix": "192.0.2.7/24"},
    {"remote_ip_prefix": "192.0.2.9/24", "direction": "egress"},
    {"remote_ip_prefix": "2001:db8::1/64", "ethertype": "IPv6", "protocol": "tcp"},
)


class Script:
    """Runs the calls; ``after`` is called after each of them."""

    def __init__(
        self, neutron: cloud.Neutron, after: typing.Callable[[], object] = lambda: None
    ) -> None:
        self.neutron, self.after = neutron, after
        self.made: Made = {}

    def create(self, kind: str, name: str, **values: typing.Any) -> str:
        """Create one, and return its id."""
        if kind != "security_group_rule":
            values["name"] = name
        made = self.neutron.create(kind, **values)
        self.made[name] = made
        self.after()
        return str(made["id"])

    def update(self, kind: str, which: str, /, **values: typing.Any) -> None:
        """Update one by its name in the script."""
        self.neutron.update(kind, self.made[which]["id"], **values)
        self.after()

    def delete(self, kind: str, name: str) -> None:
        """Delete one by its name in the script."""
        self.neutron.delete(kind, self.made.pop(name)["id"])
        self.after()

    def run(self) -> None:
        """Make everything, change some, delete some."""
        self.networks()
        self.groups()
        self.ports()
        self.changes()
        self.deletes()

    def networks(self) -> None:
        """Tenant and provider networks; subnets of every kind of DHCP."""
        tenant = self.create("network", "tenant")
        self.create(
            "network",
            "provider",
            **{
                "provider:network_type": "vlan",
                "provider:physical_network": "physnet1",
                "provider:segmentation_id": 111,
            },
        )
        four = {"network_id": tenant, "ip_version": 4}
        routes = [{"destination": "10.9.0.0/16", "nexthop": "10.1.0.254"}]
        self.create("subnet", "plain", cidr="10.1.0.0/24", **four, host_routes=routes)
        self.create("subnet", "no-gateway", cidr="10.2.0.0/24", **four, gateway_ip=None)
        self.create("subnet", "no-dhcp", cidr="10.3.0.0/24", **four, enable_dhcp=False)
        self.create("subnet", "empty", cidr="10.6.0.0/24", **four, enable_dhcp=False)
        self.create("subnet", "own-dns", cidr="10.4.0.0/24", **four, dns_nameservers=["10.4.0.53"])
        self.create("subnet", "no-dns", cidr="10.5.0.0/24", **four, dns_nameservers=["0.0.0.0"])
        # Before there are ports: stock does not carry it to options that single ports have.
        self.update("network", "tenant", mtu=1400)
        six = {"network_id": self.made["provider"]["id"], "ip_version": 6}
        for mode, cidr in (
            ("dhcpv6-stateful", "2001:db8:1::/64"),
            ("dhcpv6-stateless", "2001:db8:2::/64"),
            ("slaac", "2001:db8:3::/64"),
        ):
            self.create("subnet", mode, cidr=cidr, ipv6_address_mode=mode, ipv6_ra_mode=mode, **six)

    def groups(self) -> None:
        """Groups with rules of every form, one that refers to itself and one to another."""
        addresses = ["192.0.2.0/28", "198.51.100.7/32", "2001:db8::/48"]
        hosts = self.create("address_group", "hosts", addresses=addresses)
        web = self.create("security_group", "web")
        other = self.create("security_group", "other", stateful=False)
        self.create("security_group", "third")
        self.create("security_group", "unused")
        base = {"security_group_id": web, "direction": "ingress", "ethertype": "IPv4"}
        for number, rule in enumerate(RULES):
            self.create("security_group_rule", f"rule{number}", **{**base, **rule})
        self.create("security_group_rule", "from-web", **base, remote_group_id=web)
        self.create("security_group_rule", "from-other", **base, remote_group_id=other)
        self.create("security_group_rule", "from-hosts", **base, remote_address_group_id=hosts)
        base["security_group_id"] = other
        self.create("security_group_rule", "other-tcp", **base, protocol="tcp")

    def port(self, name: str, number: int, subnet: str = "plain", **values: typing.Any) -> str:
        """Create a port whose addresses follow from ``number``."""
        subnet_id = self.made[subnet]["id"]
        prefix = self.made[subnet]["cidr"].split("/")[0]
        address = f"{prefix}{number}" if ":" in prefix else f"{prefix[:-1]}{number}"
        return self.create(
            "port",
            name,
            network_id=self.made[subnet]["network_id"],
            mac_address=f"fa:16:3e:00:00:{number:02x}",
            fixed_ips=[{"subnet_id": subnet_id, "ip_address": address}],
            **values,
        )

    def ports(self) -> None:
        """Ports of every kind, bound and not."""
        web = [self.made["web"]["id"]]
        self.port("bound", 11, security_groups=web, **{"binding:host_id": "cmp1"})
        self.port("unbound", 12, security_groups=[*web, self.made["third"]["id"]])
        self.port("open", 13, security_groups=[], port_security_enabled=False)
        pairs = [
            {"ip_address": "10.1.0.200"},
            {"ip_address": "10.1.0.201", "mac_address": "00:00:5e:00:01:05"},
        ]
        self.port("pairs", 14, security_groups=web, allowed_address_pairs=pairs)
        self.port("off", 15, admin_state_up=False)
        self.port("options", 16, extra_dhcp_opts=DHCP_OPTIONS)
        disabled = [{"opt_name": "dhcp_disabled", "opt_value": "True", "ip_version": 4}]
        self.port("no-dhcp-port", 17, extra_dhcp_opts=disabled)
        self.port("vip", 200)
        self.port("second-parent", 18, allowed_address_pairs=[{"ip_address": "10.1.0.200"}])
        profile = {"parent_name": self.made["bound"]["id"], "tag": 42}
        self.port("child", 19, **{"binding:profile": profile})
        self.port("trusted", 20, device_owner="network:thing", device_id="thing")
        self.port("owned", 21, device_owner="compute:nova", device_id="vm1")
        self.port("other-subnet", 22, "no-gateway")
        self.port("without", 23, "no-dhcp")
        self.port("stateful", 24, "dhcpv6-stateful", **{"binding:host_id": "cmp1"})

    def changes(self) -> None:
        """Updates of every kind."""
        self.update("network", "tenant", name="tenant-2")
        self.update("network", "provider", **{"provider:segmentation_id": 112})
        self.update("subnet", "plain", dns_nameservers=["10.1.0.53", "10.1.0.54"])
        self.update("subnet", "no-gateway", enable_dhcp=False)
        self.update("subnet", "no-dhcp", enable_dhcp=True)
        self.update("security_group", "other", stateful=True)
        self.update("port", "unbound", security_groups=[self.made["web"]["id"]], name="unbound-2")
        self.update("port", "pairs", allowed_address_pairs=[{"ip_address": "10.1.0.202"}])
        self.update("port", "off", admin_state_up=True, description="on")
        self.update("port", "open", **{"binding:host_id": "cmp1"})
        self.update("port", "bound", **{"binding:host_id": ""})
        self.neutron.call(
            "PUT",
            f"address-groups/{self.made['hosts']['id']}/add_addresses",
            {"addresses": ["203.0.113.0/24"]},
        )
        self.after()

    def deletes(self) -> None:
        """Deletes of every kind."""
        self.delete("port", "owned")
        self.delete("port", "second-parent")
        self.delete("security_group_rule", "rule1")
        self.delete("security_group_rule", "from-hosts")
        self.delete("security_group", "unused")
        # One without addresses: stock leaves those of a deleted subnet on the ports that had them.
        self.delete("subnet", "empty")
        self.delete("address_group", "hosts")

    def names(self) -> dict[str, str]:
        """Return what is random in this cloud: ids and addresses, and how to call them."""
        names = {}
        for kind in ("network", "subnet", "port", "security_group", "address_group"):
            answer = self.neutron.call("GET", f"{kind.replace('_', '-')}s")
            for one in answer[f"{kind}s"]:
                names[one["id"]] = f"<{kind} {self._name(kind, one)}>"
        for one in self.neutron.call("GET", "ports")["ports"]:
            if one["device_owner"] == "network:distributed":
                names[one["mac_address"]] = f"<mac of {names[one['id']]}>"
                for ip in one["fixed_ips"]:
                    label = f"<address of metadata in {names[ip['subnet_id']]}>"
                    names[f"{ip['ip_address']}/24"] = f"{label}/24"
                    names[f"{ip['ip_address']}/64"] = f"{label}/64"
                    names[f"{ip['ip_address']},"] = f"{label},"
                    names[f'{ip["ip_address"]}"'] = f'{label}"'
                    names[f"{ip['ip_address']} "] = f"{label} "
                    names[f"{ip['ip_address']}}}"] = f"{label}}}"
        for rule in self.neutron.call("GET", "security-group-rules")["security_group_rules"]:
            facts = [rule[key] for key in sorted(rule) if not _varies(key)]
            group = names[rule["security_group_id"]]
            names[rule["id"]] = f"<rule {group} {facts}>".replace('"', "'")
        for network in self.neutron.call("GET", "networks")["networks"]:
            for segment in self._segments(network["id"]):
                what = f"{segment['physical_network']} {segment['segmentation_id']}"
                names[segment["id"]] = f"<segment {what} of {names[network['id']]}>"
        return names

    def _name(self, kind: str, one: dict[str, typing.Any]) -> str:
        if kind == "port" and one["device_owner"] == "network:distributed":
            return f"metadata of {one['network_id']}".replace(
                one["network_id"], self._script_name(one["network_id"])
            )
        return self._script_name(one["id"]) or str(one["name"])

    def _script_name(self, resource_id: str) -> str:
        return next((name for name, one in self.made.items() if one["id"] == resource_id), "")

    def _segments(self, network_id: str) -> list[dict[str, typing.Any]]:
        context = neutron_context.get_admin_context()
        found: list[dict[str, typing.Any]] = segments_db.get_network_segments(context, network_id)
        return found


_RANDOM_OF_RULES = {
    "id",
    "security_group_id",
    "remote_group_id",
    "remote_address_group_id",
    "created_at",
    "updated_at",
    "revision_number",
}


def _varies(key: str) -> bool:
    """Whether a rule's value depends on the run, or on whether our API is loaded (sync_state)."""
    return key in _RANDOM_OF_RULES or key.startswith("sync_")
