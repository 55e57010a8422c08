# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The five phases, told through the API alone; the backend is stopped and started beside it."""

import statistics
import threading
import typing

from lab import client
from lab.demo import changes, compare, northbound, screen

Resource = typing.Any

#: Seconds after which a phase that has not converged is a failure.
CONVERGE_S = 60.0

#: Seconds between two looks at the API; only what is drawn depends on it.
LOOK_S = 0.25


class StoryFailed(Exception):
    """The demonstration did not come out as it promises."""


class Backend(typing.Protocol):
    """What the story needs of OVN: its northbound server, and its command line."""

    def stop_nb(self) -> None:
        """Stop the northbound server."""

    def start_nb(self) -> None:
        """Start it again."""

    def nbctl(self, *args: str) -> str:
        """Run ``ovn-nbctl``."""


class Story:
    """One run; resources made in one phase are used by the next."""

    def __init__(
        self, tenant: changes.Tenant, ovn: Backend, show: screen.Screen, host: str
    ) -> None:
        self.tenant, self.ovn, self.show, self.host = tenant, ovn, show, host
        self.network = tenant.network
        self.made: dict[str, Resource] = {}
        self.normal_ms: list[float] = []
        self._pause = threading.Event()  # never set: a wait that Ctrl-C can interrupt

    def tell(self) -> compare.Comparison:
        """Run all phases.

        :raises StoryFailed: if something does not happen that must.
        """
        self.build()
        self.outage()
        self.recover()
        self.fail_for_good()
        return self.verify()

    # -- helpers ---------------------------------------------------------------------------------
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

    def rule(self, group: str, label: str, **body: typing.Any) -> Resource:
        """Add a rule to a group."""
        return self.tenant.make(
            f"add rule {label} to {group}",
            "security_group_rules",
            lambda: self.network.create_security_group_rule(
                security_group_id=self.made[group].id, project_id=client.PROJECT_ID, **body
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

    def converge(self, rows: list[changes.Change]) -> None:
        """Watch until every change has settled.

        :raises StoryFailed: after :data:`CONVERGE_S` seconds.
        """
        with self.show.watching(rows) as draw:
            for _ in range(int(CONVERGE_S / LOOK_S)):
                done = self.tenant.refresh(rows)
                draw()
                if done and not self.tenant.unfinished():
                    break
                self._pause.wait(LOOK_S)
        left = self.tenant.unfinished()
        if left:
            raise StoryFailed(
                f"{len(left)} workflows are not finished after {CONVERGE_S:.0f} s: {left[0]}"
            )

    def since(self, mark: int) -> list[changes.Change]:
        """Return the changes made after the first ``mark`` ones."""
        return self.tenant.changes[mark:]

    # -- phases ----------------------------------------------------------------------------------
    def build(self) -> None:
        """Make a small cloud of networks, subnets, groups and ports."""
        self.show.phase(
            1,
            "A cloud is built",
            "Each call commits the database and a workflow together and answers; a conductor makes "
            "OVN follow and reads it back. SYNCED means that OVN was seen to hold it.",
        )
        mark = len(self.tenant.changes)
        self.create("network", "blue")
        self.create(
            "subnet",
            "blue-v4",
            network_id=self.made["blue"].id,
            ip_version=4,
            cidr="10.1.0.0/24",
            dns_nameservers=["9.9.9.9"],
        )
        self.create(
            "subnet",
            "blue-v6",
            network_id=self.made["blue"].id,
            ip_version=6,
            cidr="2001:db8:1::/64",
            ipv6_ra_mode="dhcpv6-stateful",
            ipv6_address_mode="dhcpv6-stateful",
            dns_nameservers=["2620:fe::fe"],
        )
        self.create("network", "green")
        self.create(
            "subnet",
            "green-v4",
            network_id=self.made["green"].id,
            ip_version=4,
            cidr="10.2.0.0/24",
            dns_nameservers=["9.9.9.9", "149.112.112.112"],
            host_routes=[{"destination": "172.16.0.0/12", "nexthop": "10.2.0.254"}],
        )
        self.create("security_group", "web")
        self.create("security_group", "db")
        self.rule(
            "web",
            "tcp/443",
            direction="ingress",
            protocol="tcp",
            port_range_min=443,
            port_range_max=443,
        )
        self.rule(
            "db",
            "tcp/5432 from web",
            direction="ingress",
            protocol="tcp",
            port_range_min=5432,
            port_range_max=5432,
            remote_group_id=self.made["web"].id,
        )
        self.port("web-1", "blue", "web", bound=True)
        self.port("web-2", "blue", "web", bound=True)
        self.port("db-1", "blue", "db", bound=False)
        self.port("db-2", "green", "db", bound=False)
        self.route()
        self.normal_ms = [change.api_ms for change in self.since(mark)]
        self.converge(self.since(mark))

    def route(self) -> None:
        """Lead the cloud to the outside: a router, floating addresses, a limit."""
        external = {
            "is_router_external": True,
            "provider_network_type": "vlan",
            "provider_physical_network": "physnet1",
        }
        self.create("network", "outside", **external)
        self.create(
            "subnet",
            "outside-v4",
            network_id=self.made["outside"].id,
            ip_version=4,
            cidr="203.0.113.0/24",
            enable_dhcp=False,
        )
        gateway = {"network_id": self.made["outside"].id}
        self.create("router", "edge", external_gateway_info=gateway)
        self.interface("edge", "blue-v4")
        self.floating("web", port_id=self.made["web-1"].id)
        self.floating("db")
        self.forward("db", "db-1", 5432)
        self.limit("slow", 2000)
        policy = {"qos_policy_id": self.made["slow"].id}
        self.update("port", "web-2", "a limit of 2 Mbit/s", **policy)

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

    def outage(self) -> None:
        """Stop the northbound server and change things of every kind."""
        self.show.phase(
            2,
            "OVN's northbound server is stopped, and the cloud goes on changing",
            "Stock ML2/OVN hangs here, reads included, until OVN is back. Here the changes are "
            "queued in commit order, and the API says of each why it waits.",
        )
        self.ovn.stop_nb()
        mark = len(self.tenant.changes)
        self.create("network", "red")
        self.create(
            "subnet",
            "red-v4",
            network_id=self.made["red"].id,
            ip_version=4,
            cidr="10.3.0.0/24",
            dns_nameservers=["9.9.9.9"],
        )
        self.create("security_group", "cache")
        rule = self.rule(
            "cache",
            "udp/11211",
            direction="ingress",
            protocol="udp",
            port_range_min=11211,
            port_range_max=11211,
        )
        self.rule(
            "web",
            "tcp/80",
            direction="ingress",
            protocol="tcp",
            port_range_min=80,
            port_range_max=80,
        )
        self.update("port", "web-2", "disabled", admin_state_up=False)
        self.port("cache-1", "red", "cache", bound=True)
        self.port("cache-2", "red", "cache", bound=False)
        self.update("port", "cache-1", "renamed while its create is queued", name="cache-one")
        self.delete("port", "cache-2", " whose create is queued")
        self.made["rule"] = rule
        self.delete("security_group_rule", "rule", " (udp/11211) whose create is queued")
        self.update("subnet", "blue-v4", "other DNS servers", dns_nameservers=["1.1.1.1"])
        self.update(
            "port",
            "web-1",
            "an allowed address pair, and a second group",
            allowed_address_pairs=[{"ip_address": "10.1.0.200"}],
            security_group_ids=[self.made["web"].id, self.made["cache"].id],
        )
        self.update("network", "green", "renamed", name="green-two")
        route = {"destination": "198.51.100.0/24", "nexthop": "10.1.0.9"}
        self.update("router", "edge", "a route", routes=[route])
        self.tenant.make(
            "move floating IP web to port web-2",
            "floatingips",
            lambda: self.network.update_ip(
                self.made["floating web"].id, port_id=self.made["web-2"].id
            ),
        )
        self.delete("port", "db-2")
        rows = self.since(mark)
        self.until_explained(rows)
        now, before = (statistics.median(x) for x in ([r.api_ms for r in rows], self.normal_ms))
        self.show.say(
            f"API time per change: median {now:.0f} ms with OVN down, {before:.0f} ms before."
        )
        self.explain()

    def until_explained(self, rows: list[changes.Change]) -> None:
        """Watch until the conductor has met the outage and said so.

        :raises StoryFailed: if a change says SYNCED, or the outage is not reported in time.
        """
        with self.show.watching(rows) as draw:
            for _ in range(int(CONVERGE_S / LOOK_S)):
                self.tenant.refresh(rows)
                draw()
                if all(
                    row.workflow_state in ("RETRYING", "WAITING", "HELD", "SUPERSEDED")
                    for row in rows
                ):
                    break
                self._pause.wait(LOOK_S)
        wrong = [row.label for row in rows if row.sync_state not in ("PENDING", changes.GONE)]
        if wrong:
            raise StoryFailed(f"OVN is down, and yet these are not PENDING: {', '.join(wrong)}")

    def explain(self) -> None:
        """Ask the API, as a tenant would, why a port is not there yet.

        :raises StoryFailed: if the answer names no driver.
        """
        port = self.made["web-2"].id
        body = self.tenant.get(f"/ports/{port}")["port"]
        self.show.quote(
            f"GET /v2.0/ports/{port}",
            f"status {body['status']}, sync_state {body['sync_state']}: {body['sync_error']}",
        )
        tasks = self.tenant.get(f"/tasks?resource_id={port}&task_state=RETRYING")["tasks"]
        self.show.quote(
            f"GET /v2.0/tasks?resource_id={port}&task_state=RETRYING",
            [
                f"driver {t['driver']}: {t['failure']['code']}: {t['failure']['message']}"
                for t in tasks
            ],
        )
        if not tasks:
            raise StoryFailed("No task says which driver cannot go on.")
        port = self.made["cache-1"].id
        path = f"/workflows?resource_id={port}&workflow_state=WAITING"
        waiting = self.tenant.get(path)["workflows"]
        before = [self.tenant.get(f"/workflows/{w['blocked_by']}")["workflow"] for w in waiting]
        self.show.quote(
            f"GET /v2.0{path}",
            list(
                dict.fromkeys(
                    f"waits for {b['operation']} {b['resource_type']} {b['resource_id']}, which is "
                    f"{b['workflow_state']}"
                    for b in before
                )
            ),
        )

    def recover(self) -> None:
        """Start the northbound server again; nobody does anything else."""
        self.show.phase(
            3,
            "The northbound server is started again",
            "Nobody repeats a call. What was queued is applied in the order in which it was "
            "committed; what was changed or deleted meanwhile is applied as it is now.",
        )
        self.ovn.start_nb()
        self.converge([change for change in self.tenant.changes if change.workflow_id])

    def fail_for_good(self) -> None:
        """Ask for what OVN cannot hold; heal it by changing the request."""
        self.show.phase(
            4,
            "One change fails for good, and nothing else is held up",
            "A tenant gives a port a device_id with a NUL character. Neutron accepts it; OVSDB "
            "cannot carry it and cuts the connection of whoever sends it, at each attempt again. "
            "Here the change FAILED, with its cause, before it was sent; the port beside it is not "
            "held up.",
        )
        mark = len(self.tenant.changes)
        self.port("odd", "blue", "web", bound=False, device_id="vm\x007")
        self.port("web-3", "blue", "web", bound=True)
        self.converge(self.since(mark))
        odd = self.made["odd"].id
        failed = self.tenant.get(f"/tasks?resource_id={odd}&task_state=FAILED")["tasks"]
        self.show.quote(
            f"GET /v2.0/tasks?resource_id={odd}&task_state=FAILED",
            [
                f"driver {t['driver']}: {t['failure']['code']}: {t['failure']['message']}"
                + (f" [admin: {t['failure_detail']}]" if t.get("failure_detail") else "")
                for t in failed
            ],
        )
        states = {row.label: row.sync_state for row in self.since(mark)}
        if not failed or list(states.values()) != ["ERROR", "SYNCED"]:
            raise StoryFailed(f"Expected one ERROR and one SYNCED, got {states}")
        mark = len(self.tenant.changes)
        self.update("port", "odd", "a device_id without NUL", device_id="vm-7")
        self.converge(self.since(mark))
        if self.since(mark)[0].sync_state != "SYNCED":
            raise StoryFailed("The later update did not heal the port.")

    def verify(self) -> compare.Comparison:
        """Compare everything that the API lists with what OVN holds."""
        self.show.phase(
            5,
            "Every row is compared with OVN",
            "Read with ovn-nbctl and compared field by field by code that shares nothing with the "
            "drivers.",
        )
        kinds = ("networks", "subnets", "ports", "security_groups", "routers", "floatingips")
        policies = self.tenant.get("/qos/policies")["policies"]
        listed = {kind: self.tenant.get(f"/{kind}")[kind] for kind in kinds}
        cloud = compare.Cloud(**listed, policies=policies)
        return compare.compare(cloud, northbound.read(self.ovn.nbctl))
