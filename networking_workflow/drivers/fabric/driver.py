# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The fabric's ML2 mechanism driver: the example for authors of drivers.

It is an ordinary mechanism driver and works under stock ML2 as it is. Three habits make it a good
one here: its hooks may be called again with the same outcome, its errors say whether trying again
helps, and ``probe``, ``observe`` and ``desired`` (optional, ``drivers.protocol``) let a task end in
SUCCESS only when the fabric really holds what was meant.
"""

import typing

from neutron.db import provisioning_blocks
from neutron_lib import constants
from neutron_lib.api.definitions import portbindings
from neutron_lib.callbacks import resources
from neutron_lib.plugins.ml2 import api
from oslo_config import cfg

from networking_workflow.drivers.fabric import client, options

#: What the fabric is told of each resource; everything else in the API dict is Neutron's own.
FIELDS = {
    "network": ("name", "admin_state_up", "mtu", "shared"),
    "subnet": ("network_id", "name", "cidr", "gateway_ip", "enable_dhcp", "dns_nameservers"),
    "port": ("network_id", "name", "admin_state_up", "mac_address", "fixed_ips", "device_id"),
}

#: Who keeps a port from going ACTIVE before the fabric carries it.
ENTITY = "FABRIC"


class FabricMechanismDriver(api.MechanismDriver):
    """Keeps networks, subnets and ports of one fabric like those of Neutron."""

    group = options.GROUP  #: of its options
    connectivity = portbindings.CONNECTIVITY_L2  # ports without an address are bound, too

    def initialize(self) -> None:
        cfg.CONF.register_opts(options.OPTIONS, self.group)
        group = cfg.CONF[self.group]
        self._vif_type, self._asks_to_bind = group.vif_type, group.asks_to_bind
        self._client = client.FabricClient(group.url, timeout_s=group.timeout_s)

    def create_network_postcommit(self, context: typing.Any) -> None:
        self._put("network", context)

    def create_subnet_postcommit(self, context: typing.Any) -> None:
        self._put("subnet", context)

    def create_port_postcommit(self, context: typing.Any) -> None:
        self._put("port", context)

    update_network_postcommit = create_network_postcommit
    update_subnet_postcommit = create_subnet_postcommit

    def update_port_precommit(self, context: typing.Any) -> None:
        if self._brings_up(context):
            provisioning_blocks.add_provisioning_component(
                context.plugin_context, context.current["id"], resources.PORT, ENTITY
            )

    def update_port_postcommit(self, context: typing.Any) -> None:
        self._put("port", context)
        if self._brings_up(context):
            provisioning_blocks.provisioning_complete(
                context.plugin_context, context.current["id"], resources.PORT, ENTITY
            )

    def delete_network_postcommit(self, context: typing.Any) -> None:
        self._client.delete("network", context.current["id"])

    def delete_subnet_postcommit(self, context: typing.Any) -> None:
        self._client.delete("subnet", context.current["id"])

    def delete_port_postcommit(self, context: typing.Any) -> None:
        self._client.delete("port", context.current["id"])
        if self._asks_to_bind:
            self._client.delete("binding", context.current["id"])

    def bind_port(self, context: typing.Any) -> None:
        if not self._vif_type:
            return
        if self._asks_to_bind:
            self._client.put("binding", context.current["id"], {"host": context.host})
        context.set_binding(context.segments_to_bind[0][api.ID], self._vif_type, {})

    def probe(self) -> None:
        self._client.health()

    def observe(self, resource_type: str, resource_id: str) -> client.Json | None:
        return self._client.get(resource_type, resource_id)

    def desired(self, resource_type: str, context: typing.Any) -> client.Json:
        body = {field: context.current[field] for field in FIELDS[resource_type]}
        if resource_type == "network":
            body["segments"] = context.network_segments
        if resource_type == "port":
            body |= {"host": context.host, "segment": context.bottom_bound_segment}
        return body

    def _put(self, resource_type: str, context: typing.Any) -> None:
        body = self.desired(resource_type, context)
        self._client.put(resource_type, context.current["id"], body)

    def _brings_up(self, context: typing.Any) -> bool:
        down = context.current["status"] != constants.PORT_STATUS_ACTIVE
        return down and bool(self._vif_type) and context.vif_type == self._vif_type
