# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The options of Neutron that decide what the Northbound database must hold, as values."""

import dataclasses
import typing

from neutron.common.ovn import acl as ovn_acl
from neutron.common.ovn import utils as ovn_utils
from neutron.conf.agent import ovs_conf
from neutron.conf.plugins.ml2.drivers.ovn import ovn_conf
from oslo_config import cfg

from networking_workflow import releases

#: Where ``[network_log] local_output_log_base`` says no other (``logapi/drivers/ovn/driver.py``).
LOG_METER = "acl_log_meter"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class OvnSettings:
    """One process's options; strings are as OVN stores them."""

    metadata_enabled: bool = False
    security_groups: bool = True
    lease_time_s: str = "43200"
    dns_domain: str = ""
    dns_servers: tuple[str, ...] = ()  #: for subnets without name servers of their own
    resolvers: tuple[str, ...] = ()  #: this host's, if there are no ``dns_servers`` either
    dhcp4_options: typing.Mapping[str, str] = dataclasses.field(default_factory=dict)
    dhcp6_options: typing.Mapping[str, str] = dataclasses.field(default_factory=dict)
    baremetal_dhcp: bool = True
    igmp_snooping: str = "false"
    igmp_flood: str = "false"
    igmp_flood_reports: str = "true"
    igmp_flood_unregistered: str = "false"
    learn_fdb: str = "false"
    fdb_age_threshold: str = "0"
    broadcast_arps: str = "true"
    default_zones: tuple[str, ...] = ()
    activation_strategy: str = ""
    distributed_floating_ips: bool = False
    stateless_nat: str = "false"
    nested_snat: bool = False  #: one rule for whatever leaves a router, not one a network
    mac_age_threshold: str = "0"
    log_meter: str = LOG_METER  #: name of the meter of ACLs that are logged
    log_rate: int = 100  #: packets a second
    log_burst: int = 25  #: packets beyond it
    mcast_flood_broken: bool = False  #: of the connected Northbound's schema
    written: releases.Northbound = releases.NEWEST  #: by stock of this release


def from_config(*, mcast_flood_broken: bool) -> OvnSettings:
    """Read the options of this process; those that do not suit are refused by ``modes.check``."""
    return OvnSettings(
        metadata_enabled=ovn_conf.is_ovn_metadata_enabled(),
        security_groups=ovn_acl.is_sg_enabled(),
        lease_time_s=str(ovn_conf.get_ovn_dhcp_default_lease_time()),
        dns_domain=cfg.CONF.dns_domain,
        dns_servers=tuple(ovn_conf.get_dns_servers()),
        resolvers=tuple(ovn_utils.get_system_dns_resolvers()),
        dhcp4_options=dict(ovn_conf.get_global_dhcpv4_opts()),
        dhcp6_options=dict(ovn_conf.get_global_dhcpv6_opts()),
        baremetal_dhcp=not ovn_conf.is_ovn_dhcp_disabled_for_baremetal(),
        igmp_snooping=ovs_conf.get_igmp_snooping_enabled(),
        igmp_flood=ovs_conf.get_igmp_flood(),
        igmp_flood_reports=ovs_conf.get_igmp_flood_reports(),
        igmp_flood_unregistered=ovs_conf.get_igmp_flood_unregistered(),
        learn_fdb=str(ovn_conf.is_learn_fdb_enabled()).lower(),
        fdb_age_threshold=ovn_conf.get_fdb_age_threshold(),
        broadcast_arps=str(ovn_conf.is_broadcast_arps_to_all_routers_enabled()).lower(),
        default_zones=tuple(cfg.CONF.default_availability_zones),
        activation_strategy=ovn_conf.get_ovn_lm_activation_strategy() or "",
        distributed_floating_ips=ovn_conf.is_ovn_distributed_floating_ip(),
        stateless_nat=str(ovn_conf.is_stateless_nat_enabled()).lower(),
        nested_snat=ovn_conf.is_ovn_router_indirect_snat_enabled(),
        mac_age_threshold=str(ovn_conf.get_ovn_mac_binding_age_threshold()),
        log_meter=cfg.CONF.network_log.local_output_log_base or LOG_METER,
        log_rate=cfg.CONF.network_log.rate_limit,
        log_burst=cfg.CONF.network_log.burst_limit,
        mcast_flood_broken=mcast_flood_broken,
        written=releases.northbound(),
    )
