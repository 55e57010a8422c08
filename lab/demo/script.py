# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The changes of the story, each a call of the API; whoever tells it decides what a failure is."""

import ipaddress
import typing

from lab import client
from lab.demo import changes

Resource = typing.Any
Step = typing.Callable[[], object]

_EXTERNAL = {
    "is_router_external": True,
    "provider_network_type": "vlan",
    "provider_physical_network": "physnet1",
}
_ROUTE = {"destination": "198.51.100.0/24", "nexthop": "10.1.0.9"}


class Script:
    """One run on one Neutron; resources made in one phase are used by the next."""

    def __init__(self, tenant: changes.Tenant, host: str) -> None:
        self.tenant, self.host = tenant, host
        self.network = tenant.network
        self.made: dict[str, Resource] = {}

    def building(self) -> list[Step]:
        """Return the steps that make a small cloud of networks, subnets, groups and ports."""
        return [
            lambda: self.create("network", "blue"),
            lambda: self.subnet(
                "blue",
                "blue-v4",
                "10.1.0.0/24",
                dns_nameservers=["9.9.9.9"],
            ),
            lambda: self.subnet(
                "blue",
                "blue-v6",
                "2001:db8:1::/64",
                ipv6_ra_mode="dhcpv6-stateful",
                ipv6_address_mode="dhcpv6-stateful",
                dns_nameservers=["2620:fe::fe"],
            ),
            lambda: self.create("network", "green"),
            lambda: self.subnet(
                "green",
                "green-v4",
                "10.2.0.0/24",
                dns_nameservers=["9.9.9.9", "149.112.112.112"],
                host_routes=[{"destination": "172.16.0.0/12", "nexthop": "10.2.0.254"}],
            ),
            lambda: self.create("security_group", "web"),
            lambda: self.create("security_group", "db"),
            lambda: self.allow("web", "tcp", 443),
            lambda: self.allow("db", "tcp", 5432, remote="web"),
            lambda: self.port("web-1", "blue", "web", bound=True),
            lambda: self.port("web-2", "blue", "web", bound=True),
            lambda: self.port("db-1", "blue", "db", bound=False),
            lambda: self.port("db-2", "green", "db", bound=False),
        ]

    def routing(self) -> list[Step]:
        """Return the steps that lead it to the outside: a router, floating addresses, a limit."""
        return [
            lambda: self.create("network", "outside", **_EXTERNAL),
            lambda: self.subnet(
                "outside",
                "outside-v4",
                "203.0.113.0/24",
                enable_dhcp=False,
            ),
            lambda: self.create(
                "router", "edge", external_gateway_info={"network_id": self.made["outside"].id}
            ),
            lambda: self.interface("edge", "blue-v4"),
            lambda: self.floating("web", port_id=self.made["web-1"].id),
            lambda: self.floating("db"),
            lambda: self.forward("db", "db-1", 5432),
            lambda: self.limit("slow", 2000),
            lambda: self.update(
                "port", "web-2", "a limit of 2 Mbit/s", qos_policy_id=self.made["slow"].id
            ),
        ]

    def changing(self) -> list[Step]:
        """Return the steps that change things of every kind while OVN is down."""
        return [
            lambda: self.create("network", "red"),
            lambda: self.subnet(
                "red",
                "red-v4",
                "10.3.0.0/24",
                dns_nameservers=["9.9.9.9"],
            ),
            lambda: self.create("security_group", "cache"),
            lambda: self.allow("cache", "udp", 11211),
            lambda: self.allow("web", "tcp", 80),
            lambda: self.update("port", "web-2", "disabled", admin_state_up=False),
            lambda: self.port("cache-1", "red", "cache", bound=True),
            lambda: self.port("cache-2", "red", "cache", bound=False),
            lambda: self.update(
                "port", "cache-1", "renamed while its create is queued", name="cache-one"
            ),
            lambda: self.delete("port", "cache-2", " whose create is queued"),
            lambda: self.delete(
                "security_group_rule", "udp/11211", " of cache whose create is queued"
            ),
            lambda: self.update(
                "subnet", "blue-v4", "other DNS servers", dns_nameservers=["1.1.1.1"]
            ),
            lambda: self.update(
                "port",
                "web-1",
                "an allowed address pair, and a second group",
                allowed_address_pairs=[{"ip_address": "10.1.0.200"}],
                security_group_ids=[self.made["web"].id, self.made["cache"].id],
            ),
            lambda: self.update("network", "green", "renamed", name="green-two"),
            lambda: self.update("router", "edge", "a route", routes=[_ROUTE]),
            lambda: self.move("web", "web-2"),
            lambda: self.delete("port", "db-2"),
        ]

    def create(self, kind: str, name: str, label: str = "", /, **body: typing.Any) -> Resource:
        """Create one resource through the SDK and remember it by its name."""
        collection = "security_groups" if kind == "security_group" else f"{kind}s"
        method = getattr(self.network, f"create_{kind}")
        resource = self.tenant.make(
            label or f"create {kind} {name}",
            collection,
            lambda: method(name=name, project_id=client.PROJECT_ID, **body),
        )
        self.made[name] = resource
        return resource

    def subnet(self, network: str, name: str, cidr: str, **body: typing.Any) -> Resource:
        """Create a subnet of a network."""
        version = ipaddress.ip_network(cidr).version
        network_id = self.made[network].id
        return self.create(
            "subnet", name, network_id=network_id, ip_version=version, cidr=cidr, **body
        )

    def allow(self, group: str, protocol: str, number: int, *, remote: str = "") -> None:
        """Let a port number into a group, from another group if one is given."""
        label = f"{protocol}/{number}"
        body = {"remote_group_id": self.made[remote].id} if remote else {}
        self.made[label] = self.tenant.make(
            f"add rule {label}{f' from {remote}' if remote else ''} to {group}",
            "security_group_rules",
            lambda: self.network.create_security_group_rule(
                security_group_id=self.made[group].id,
                project_id=client.PROJECT_ID,
                direction="ingress",
                protocol=protocol,
                port_range_min=number,
                port_range_max=number,
                **body,
            ),
        )

    def update(self, kind: str, name: str, label: str, /, **body: typing.Any) -> Resource:
        """Update one resource."""
        collection = "security_groups" if kind == "security_group" else f"{kind}s"
        method = getattr(self.network, f"update_{kind}")
        return self.tenant.make(
            f"update {kind} {name}: {label}",
            collection,
            lambda: method(self.made[name].id, **body),
        )

    def delete(self, kind: str, name: str, label: str = "") -> None:
        """Delete one resource."""
        resource = self.made.pop(name)
        method = getattr(self.network, f"delete_{kind}")

        def call() -> Resource:
            method(resource.id, ignore_missing=False)
            return resource

        self.tenant.make(f"delete {kind} {name}{label}", f"{kind}s", call)

    def interface(self, router: str, subnet: str) -> None:
        """Join a subnet to a router; what is followed is the interface's port."""
        added = {"subnet_id": self.made[subnet].id}

        def call() -> Resource:
            answer = self.network.add_interface_to_router(self.made[router].id, **added)
            return self.network.get_port(answer["port_id"])

        self.tenant.make(f"add interface of {subnet} to router {router}", "ports", call)

    def floating(self, name: str, **body: typing.Any) -> None:
        """Create a floating IP, at a port if one is given."""
        self.made[f"floating {name}"] = self.tenant.make(
            f"create floating IP {name}",
            "floatingips",
            lambda: self.network.create_ip(
                floating_network_id=self.made["outside"].id,
                project_id=client.PROJECT_ID,
                description=name,
                **body,
            ),
        )

    def forward(self, name: str, port: str, number: int) -> None:
        """Forward a TCP port of a floating IP; what is followed is the forwarding."""
        inner = self.network.get_port(self.made[port].id)
        self.tenant.make(
            f"forward tcp/{number} of floating IP {name} to {port}",
            "",
            lambda: self.network.create_port_forwarding(
                floatingip_id=self.made[f"floating {name}"].id,
                internal_port_id=inner.id,
                internal_ip_address=inner.fixed_ips[0]["ip_address"],
                internal_port=number,
                external_port=number,
                protocol="tcp",
            ),
        )

    def limit(self, name: str, kbps: int) -> None:
        """Create a QoS policy with a limit to what its ports send."""
        self.made[name] = self.tenant.make(
            f"create QoS policy {name}",
            "qos/policies",
            lambda: self.network.create_qos_policy(name=name, project_id=client.PROJECT_ID),
        )
        rules = f"/qos/policies/{self.made[name].id}/bandwidth_limit_rules"
        self.tenant.post(rules, {"bandwidth_limit_rule": {"max_kbps": kbps}})

    def port(
        self, name: str, network: str, group: str, *, bound: bool, **body: typing.Any
    ) -> Resource:
        """Create a port, on the chassis if it is bound."""
        if bound:
            body |= {"binding:host_id": self.host, "device_owner": "compute:nova"}
        return self.create(
            "port",
            name,
            f"create port {name} ({'bound to a chassis' if bound else 'not bound'})",
            network_id=self.made[network].id,
            security_group_ids=[self.made[group].id],
            **body,
        )

    def move(self, floating: str, port: str) -> None:
        """Move a floating IP to another port."""
        self.tenant.make(
            f"move floating IP {floating} to port {port}",
            "floatingips",
            lambda: self.network.update_ip(
                self.made[f"floating {floating}"].id, port_id=self.made[port].id
            ),
        )
