# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What OVN's driver reads back, seen while each kind is created, changed and deleted once.

The calls are the API's own, and each one's workflows are applied before the next.
"""

import collections.abc
import json
import re
import typing

import sqlalchemy as sa
import webob
from neutron_lib.plugins import directory

from networking_workflow.drivers import protocol
from networking_workflow.drivers.ovn import compare
from networking_workflow.drivers.ovn import driver as ovn_driver
from networking_workflow.journal import tables
from networking_workflow.model import errors, states, workflows

PROJECT = "11111111111111111111111111111111"
HOST = "compute"
TIMEOUT_S = 30.0

#: (resource type, operation) -> northbound table -> columns, or column:key of a map column.
Compared = dict[tuple[str, str], dict[str, set[str]]]

#: Keys of map columns that are no name of a key but addresses, ids and the like.
_NAME = re.compile(r"[a-z][a-z0-9_:-]*")

Made = dict[str, typing.Any]


class Teller:
    """Calls the API, and applies what that recorded."""

    def __init__(self, app: typing.Any, engine: sa.Engine) -> None:
        self._app, self._engine = app, engine
        plugin = directory.get_plugin()
        mech_driver = plugin.mechanism_manager.mech_drivers["ovn"].obj
        self._driver = ovn_driver.OvnDriver(mech_driver, plugin=plugin, timeout_s=TIMEOUT_S)
        self._done: set[str] = set()
        self.compared: Compared = {}

    def call(self, method: str, path: str, body: typing.Any = None) -> typing.Any:
        """Answer a request, apply its workflows, and return the body of the answer.

        :raises RuntimeError: if the API refuses the request.
        """
        request = webob.Request.blank(
            f"/v2.0/{path}",
            method=method,
            body=json.dumps(body).encode() if body is not None else b"",
            content_type="application/json",
            headers={"X-User-Id": "u", "X-Project-Id": PROJECT, "X-Roles": "admin,member,reader"},
        )
        response = request.get_response(self._app)
        if response.status_code >= 300:
            raise RuntimeError(f"{method} {path}: {response.text}")
        self._apply()
        return response.json if response.body else None

    def create(self, kind: str, path: str = "", **values: typing.Any) -> Made:
        """Create a resource in ``path``, by default the collection of its kind."""
        body = {kind: values if path else {"project_id": PROJECT, **values}}
        made: Made = self.call("POST", path or f"{kind.replace('_', '-')}s", body)[kind]
        return made

    def close(self) -> None:
        """Give the driver's connections up."""
        self._driver.close()

    def _apply(self) -> None:
        while rows := [row for row in self._rows() if row.id not in self._done]:
            before = len(self._done)
            for row in rows:
                try:
                    self._run(row)
                except errors.MissingReference:
                    if row is rows[-1] and len(self._done) == before:
                        raise
                    continue  # of a later transaction of the same call: a conductor holds it
                self._done.add(row.id)

    def _rows(self) -> collections.abc.Sequence[typing.Any]:
        with self._engine.connect() as connection:
            query = sa.select(tables.workflows).order_by(sa.text("rowid"))
            return connection.execute(query).all()

    def _run(self, row: typing.Any) -> None:
        snapshot = json.loads(row.snapshot) if isinstance(row.snapshot, str) else row.snapshot
        self._call(row.resource_type, row.resource_id, states.Operation(row.operation), snapshot)

    def _call(
        self,
        resource_type: str,
        resource_id: str,
        operation: states.Operation,
        snapshot: workflows.Snapshot | None = None,
    ) -> None:
        reached: list[tuple[str, str]] = []
        target = protocol.Target(
            resource_type=resource_type,
            resource_id=resource_id,
            operation=operation,
            snapshot=snapshot,
            fan_out=reached.extend,
        )
        into = self.compared.setdefault((resource_type, str(operation)), {})
        with _noting(into):
            if operation is states.Operation.DELETE:
                self._driver.delete(target)
            else:
                self._driver.apply(target)
        for child_type, child_id in reached:
            self._call(child_type, child_id, states.Operation.UPDATE)


class _Noting:
    """Stands before ``compare.differences``."""

    def __init__(self, into: dict[str, set[str]]) -> None:
        self._into, self._stock = into, compare.differences

    def __enter__(self) -> None:
        compare.differences = self._differences

    def __exit__(self, *_: object) -> None:
        compare.differences = self._stock

    def _differences(
        self, rows: collections.abc.Iterable[compare.Row], found: compare.Found
    ) -> tuple[compare.Difference, ...]:
        asked = tuple(rows)
        for row in asked:
            columns = self._into.setdefault(row.table, set())
            columns.update(("that it is gone",) if row.absent else _columns(row))
        return self._stock(asked, found)


_noting = _Noting


def _columns(row: compare.Row) -> collections.abc.Iterator[str]:
    for column, wanted in row.columns.items():
        if not isinstance(wanted, compare.Keys):
            yield column
            continue
        keys = [key for key in (*wanted.wanted, *wanted.unwanted) if _NAME.fullmatch(key)]
        yield from (f"{column}:{key}" for key in keys) if keys else (column,)


def tell(teller: Teller) -> None:
    """Make, change and delete one of each kind."""
    call, create = teller.call, teller.create
    policy = call("POST", "qos/policies", {"policy": {"name": "q"}})["policy"]["id"]
    rules = f"qos/policies/{policy}/bandwidth_limit_rules"
    create("bandwidth_limit_rule", rules, max_kbps=1000)
    addresses = create("address_group", name="a", addresses=["10.1.0.0/16"])["id"]
    group = create("security_group", name="g")["id"]
    rule = create(
        "security_group_rule",
        security_group_id=group,
        direction="ingress",
        ethertype="IPv4",
        remote_address_group_id=addresses,
    )["id"]
    outside: Made = {"router:external": True, "provider:network_type": "flat"}
    outside["provider:physical_network"] = "physnet1"
    external = create("network", **outside)["id"]
    create("subnet", network_id=external, ip_version=4, cidr="203.0.113.0/24")
    network = create("network", qos_policy_id=policy)["id"]
    subnet = create("subnet", network_id=network, ip_version=4, cidr="10.0.0.0/24")["id"]
    ports = [
        create(
            "port",
            network_id=network,
            security_groups=[group],
            qos_policy_id=policy,
            extra_dhcp_opts=[{"opt_name": "mtu", "opt_value": "1400"}],
            **{"binding:host_id": HOST},
        )
        for _ in range(2)
    ]
    gateway = {"network_id": external, "qos_policy_id": policy}
    router = create("router", external_gateway_info=gateway)["id"]
    call("PUT", f"routers/{router}/add_router_interface", {"subnet_id": subnet})
    floating = {"floating_network_id": external, "qos_policy_id": policy}
    address = create("floatingip", port_id=ports[0]["id"], **floating)["id"]
    shared = create("floatingip", **floating)["id"]
    forwardings = f"floatingips/{shared}/port_forwardings"
    forwarding = create(
        "port_forwarding",
        forwardings,
        internal_port_id=ports[1]["id"],
        internal_ip_address=ports[1]["fixed_ips"][0]["ip_address"],
        internal_port=22,
        external_port=2222,
        protocol="tcp",
    )["id"]
    trunk = create("trunk", port_id=ports[1]["id"])["id"]
    plain = create("port", network_id=network)["id"]
    sub_port = {"port_id": plain, "segmentation_type": "vlan", "segmentation_id": 7}
    call("PUT", f"trunks/{trunk}/add_subports", {"sub_ports": [sub_port]})

    vlan = {"network_type": "vlan", "physical_network": "physnet1"}
    segment = {"network_id": network, "segmentation_id": 100, **vlan}
    segment_id = call("POST", "segments", {"segment": segment})["segment"]["id"]
    call("DELETE", f"segments/{segment_id}")

    log = {"resource_type": "security_group", "resource_id": group, "event": "ALL"}
    log_id = create("log", "log/logs", project_id=PROJECT, **log)["id"]

    one_each = {
        "network": f"networks/{network}",
        "subnet": f"subnets/{subnet}",
        "port": f"ports/{ports[0]['id']}",
        "security_group": f"security-groups/{group}",
        "address_group": f"address-groups/{addresses}",
        "policy": f"qos/policies/{policy}",
        "router": f"routers/{router}",
        "floatingip": f"floatingips/{address}",
        "trunk": f"trunks/{trunk}",
        "log": f"log/logs/{log_id}",
    }
    for kind, path in one_each.items():
        call("PUT", path, {kind: {"description": "changed"}})
    call("PUT", f"{forwardings}/{forwarding}", {"port_forwarding": {"external_port": 2223}})
    route = {"destination": "192.0.2.0/24", "nexthop": "10.0.0.77"}
    call("PUT", f"routers/{router}/add_extraroutes", {"router": {"routes": [route]}})

    call("PUT", f"trunks/{trunk}/remove_subports", {"sub_ports": [{"port_id": plain}]})
    call("DELETE", one_each["log"])
    call("DELETE", one_each["trunk"])
    call("DELETE", f"{forwardings}/{forwarding}")
    for one in (address, shared):
        call("DELETE", f"floatingips/{one}")
    call("PUT", f"routers/{router}/remove_extraroutes", {"router": {"routes": [route]}})
    call("PUT", f"routers/{router}/remove_router_interface", {"subnet_id": subnet})
    call("DELETE", one_each["router"])
    for one in (plain, *(port["id"] for port in ports)):
        call("DELETE", f"ports/{one}")
    call("DELETE", f"security-group-rules/{rule}")
    for kind in ("security_group", "address_group", "subnet", "network", "policy"):
        if kind == "policy":
            call("DELETE", f"networks/{external}")
        call("DELETE", one_each[kind])
