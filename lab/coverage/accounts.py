# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What becomes of everything that is loaded: one table for what is covered, one for the rest.

``COVERED``: the call or subscription is taken out of the API process, and the workflow that is
named does its work. ``LEFT``: it stays where it is, for one of two reasons. What is in neither is
named by :func:`unaccounted`, and so is what one of them has and nobody loads any more.
"""

import collections.abc
import dataclasses
import enum

from lab.coverage import loaded

#: Receiver and resource.event of a subscription; driver and method of a manager's call.
What = tuple[str, str]

#: What does its work: resource type and operation.
Work = tuple[str, str]


class Reason(enum.StrEnum):
    """Why something may stay in the API call."""

    NO_EFFECT = "not a backend effect"
    BROKEN = "the upstream API itself is broken"


@dataclasses.dataclass(frozen=True, slots=True)
class Left:
    """What stays, and why; with ``Reason.BROKEN`` the words say how it shows."""

    reason: Reason
    words: str
    lines: str  #: on each line a receiver with its events, or a driver with its methods

    def whats(self) -> list[What]:
        """Return each of them."""
        return [
            (name, one)
            for name, *ones in (line.split() for line in self.lines.splitlines() if line.strip())
            for one in ones
        ]


_COVERED: dict[Work, str] = {
    ("network", "create"): "OVNMechanismDriver create_network_postcommit",
    ("network", "update"): """
        OVNMechanismDriver update_network_postcommit
        OVNMechanismDriver.create_segment_provnet_port segment.after_create
        OVNMechanismDriver.delete_segment_provnet_port segment.after_delete""",
    ("network", "delete"): "OVNMechanismDriver delete_network_postcommit",
    ("subnet", "create"): "OVNMechanismDriver create_subnet_postcommit",
    ("subnet", "update"): "OVNMechanismDriver update_subnet_postcommit",
    ("subnet", "delete"): "OVNMechanismDriver delete_subnet_postcommit",
    ("port", "create"): "OVNMechanismDriver create_port_postcommit",
    ("port", "update"): "OVNMechanismDriver update_port_postcommit",
    ("port", "delete"): "OVNMechanismDriver delete_port_postcommit",
    ("security_group", "create"): """
        OVNMechanismDriver._create_security_group security_group.after_create""",
    ("security_group", "update"): """
        OVNMechanismDriver._update_security_group security_group.after_update""",
    ("security_group", "delete"): """
        OVNMechanismDriver._delete_security_group_precommit security_group.precommit_delete
        OVNMechanismDriver._delete_security_group security_group.after_delete""",
    ("security_group_rule", "create"): """
        OVNMechanismDriver._process_sg_rule_notification security_group_rule.after_create
        SecurityGroupRuleCallBack.handle_event security_group_rule.after_create
        SecurityGroupRuleCallBack.handle_event security_group_rule.after_update
        OVNDriver resource_update""",
    ("security_group_rule", "delete"): """
        OVNMechanismDriver._process_sg_rule_notification security_group_rule.before_delete
        SecurityGroupRuleCallBack.handle_event security_group_rule.after_delete""",
    ("address_group", "create"): """
        OVNMechanismDriver._process_ag_notification address_group.after_create""",
    ("address_group", "update"): """
        OVNMechanismDriver._process_ag_notification address_group.after_update""",
    ("address_group", "delete"): """
        OVNMechanismDriver._process_ag_notification address_group.after_delete""",
    # A policy that is new has no rules, and one that is deleted has no ports: OVN's driver has no
    # methods for these.
    ("qos_policy", "update"): "OVNQosDriver update_policy",
    ("router", "create"): "OvnDriver._process_router_create router.after_create",
    ("router", "update"): """
        OvnDriver._process_router_update router.after_update
        OVNL3RouterPlugin._subnet_update subnet.after_update""",
    ("router", "delete"): "OvnDriver._process_router_delete router.after_delete",
    ("router_interface", "create"): """
        OvnDriver._process_add_router_interface router_interface.after_create
        OVNPortForwarding._handle_lb_on_ls router_interface.after_create""",
    ("router_interface", "delete"): """
        OvnDriver._process_remove_router_interface router_interface.after_delete
        OVNPortForwarding._handle_lb_on_ls router_interface.after_delete""",
    ("floatingip", "create"): "OvnDriver._process_floatingip_create floatingip.after_create",
    ("floatingip", "update"): "OvnDriver._process_floatingip_update floatingip.after_update",
    ("floatingip", "delete"): "OvnDriver._process_floatingip_delete floatingip.after_delete",
    ("port_forwarding", "create"): """
        OVNPortForwarding._handle_notification port_forwarding.after_create""",
    ("port_forwarding", "update"): """
        OVNPortForwarding._handle_notification port_forwarding.after_update""",
    ("port_forwarding", "delete"): """
        OVNPortForwarding._handle_notification port_forwarding.after_delete""",
    ("log", "create"): "OVNDriver create_log",
    ("log", "update"): "OVNDriver update_log",
    ("log", "delete"): "OVNDriver delete_log",
    ("trunk", "create"): "OVNTrunkHandler.trunk_created trunk.after_create",
    ("trunk", "delete"): "OVNTrunkHandler.trunk_deleted trunk.after_delete",
    ("subport", "create"): "OVNTrunkHandler.subports_added subports.after_create",
    ("subport", "delete"): "OVNTrunkHandler.subports_deleted subports.after_delete",
}

COVERED: dict[What, Work] = {
    what: work
    for work, lines in _COVERED.items()
    for what in Left(Reason.NO_EFFECT, "", lines).whats()
}

_NO = Reason.NO_EFFECT

LEFT: tuple[Left, ...] = (
    Left(
        _NO,
        "starts with the process: connections, the hash ring, maintenance, the conductor",
        """
        OVNMechanismDriver initialize get_workers
        OVNMechanismDriver.pre_fork_initialize process.before_spawn
        OVNMechanismDriver.post_fork_initialize process.after_init
        OVNL3RouterPlugin._post_fork_initialize process.after_init
        Ml2Plugin._process_started process.after_init""",
    ),
    Left(
        _NO,
        "introduces a driver to its service plugin when that starts",
        """
        OVNTrunkDriver register
        OVNTrunkDriver.register trunk_plugin.after_init
        OVNPortForwarding.register port_forwarding_plugin.after_init
        DriverBase.register trunk_plugin.after_init
        DriverBase._register qos_plugin.after_init logging-plugin.after_init
        register.<locals>._register_pvlan_driver pvlan_plugin.before_spawn""",
    ),
    Left(
        _NO,
        "says what the driver can do",
        """
        OVNMechanismDriver check_vlan_transparency check_vlan_qinq supported_extensions
        OVNMechanismDriver provider_network_attribute_updates_supported
        OVNMechanismDriver responsible_for_ports_allocation""",
    ),
    Left(
        _NO,
        "decides the answer of the call before anything is committed; reads OVN at most",
        """
        OVNMechanismDriver bind_port
        OVNDriver create_log_precommit
        OVNMechanismDriver._validate_allowed_address_pairs allowed_address_pair.before_create
        OVNL3RouterPlugin._port_update port.before_update port.after_update
        DriverController._check_router_request router.before_create
        External_net_db_mixin._before_network_delete_handler network.before_delete
        External_net_db_mixin._validate_ext_not_in_use_by_project rbac-policy.before_delete
        External_net_db_mixin._validate_ext_not_in_use_by_project rbac-policy.before_update
        L3_NAT_dbonly_mixin._prevent_internal_ip_change_for_fip port.before_update
        L3_NAT_dbonly_mixin._prevent_l3_port_delete_callback port.before_delete
        NeutronDbPluginV2.validate_network_rbac_policy_change rbac-policy.before_create
        NeutronDbPluginV2.validate_network_rbac_policy_change rbac-policy.before_delete
        NeutronDbPluginV2.validate_network_rbac_policy_change rbac-policy.before_update
        PortForwardingPlugin._check_floatingip_request floatingip.precommit_delete
        PortForwardingPlugin._check_floatingip_request floatingip.precommit_update
        PortForwardingPlugin._check_port_has_port_forwarding floatingip.before_create
        PortForwardingPlugin._check_port_has_port_forwarding floatingip.before_update
        QoSPlugin._validate_create_network_callback network.precommit_create
        QoSPlugin._validate_create_port_callback port.precommit_create
        QoSPlugin._validate_update_network_callback network.precommit_update
        QoSPlugin._validate_update_port_callback port.precommit_update
        RbacNeutronDbObjectMixin.validate_rbac_policy_change rbac-policy.before_create
        RbacNeutronDbObjectMixin.validate_rbac_policy_change rbac-policy.before_delete
        RbacNeutronDbObjectMixin.validate_rbac_policy_change rbac-policy.before_update
        Plugin._prevent_segment_delete_with_subnet_associated segment.before_delete
        Plugin._validate_auto_address_subnet_delete subnet.precommit_delete_associations
        RouterAvailabilityZoneMixin._process_az_request router.precommit_create
        _prevent_segment_delete_with_port_bound segment.before_delete
        enforce_port_deletion_rules port.before_delete""",
    ),
    Left(
        _NO,
        "writes Neutron's own database, in the transaction of the change or before it",
        """
        OVNMechanismDriver create_network_precommit update_network_precommit
        OVNMechanismDriver create_subnet_precommit create_port_precommit update_port_precommit
        OVNMechanismDriver._create_security_group_precommit security_group.precommit_create
        OVNMechanismDriver._create_segment_revision_precommit segment.precommit_create
        OVNMechanismDriver._create_sg_rule_precommit security_group_rule.precommit_create
        OVN_L3_HA_db_mixin._precommit_router_create router.precommit_create
        OvnDriver._process_floatingip_create_update_precommit floatingip.precommit_create
        OvnDriver._process_floatingip_create_update_precommit floatingip.precommit_update
        OvnDriver._process_router_create_precommit router.precommit_create
        DriverController._clear_router_provider router.precommit_delete
        DriverController._set_router_provider router.precommit_create
        DriverController._update_router_provider router.precommit_update
        ExtraGatewaysDbOnlyMixin._delete_router_remove_external_gateways router.before_delete
        ExtraGatewaysDbOnlyMixin._process_bfd_ecmp_create router.precommit_create
        ExtraGatewaysDbOnlyMixin._process_bfd_ecmp_update router.precommit_update
        External_net_db_mixin._process_ext_policy_create rbac-policy.before_create
        L3_NAT_dbonly_mixin._precommit_delete_port_callback port.precommit_delete
        Ml2Plugin._handle_segment_change segment.precommit_create segment.precommit_delete
        Ml2Plugin._network_delete_precommit_handler network.precommit_delete
        Ml2Plugin._subnet_delete_precommit_handler subnet.precommit_delete
        PortForwardingPlugin._process_port_request_handler port.precommit_delete
        SegmentHostRoutes.host_routes_before_create subnet.before_create
        SegmentHostRoutes.host_routes_before_update subnet.before_update
        SecurityGroupDbMixin._ensure_default_security_group_handler network.before_create
        SecurityGroupDbMixin._ensure_default_security_group_handler port.before_create
        SecurityGroupDbMixin._ensure_default_security_group_handler port.before_update
        _add_segment_host_mapping_for_segment segment.precommit_create
        _delete_segments_for_network network.precommit_delete
        _ensure_external_network_default_value_callback network.precommit_create
        _ensure_external_network_default_value_callback network.precommit_update""",
    ),
    Left(
        _NO,
        "writes Neutron's own database afterwards; what changes a covered row is a workflow",
        """
        OVNMechanismDriver._add_segment_host_mapping_for_segment segment.after_create
        LoggingPlugin._clean_logs_by_resource_id security_group.after_delete
        LoggingPlugin._clean_logs_by_target_id port.after_delete
        OVNTrunkHandler.port_updated port.after_update
        OvnDriver._process_floatingip_status_update floatingip.after_status_update
        OvnDriver._process_portforwarding_create port_forwarding.after_create
        DhcpAgentSchedulerDbMixin.auto_schedule_new_network_segments \
            segment_host_mapping.after_create
        External_net_db_mixin._process_ext_policy_delete rbac-policy.after_delete
        Ml2Plugin._handle_segment_change segment.after_create segment.after_delete
        Ml2Plugin._port_provisioned port.provisioning_complete
        PortForwardingPlugin._process_port_request_handler port.after_update
        SegmentHostRoutes.host_routes_after_create subnet.after_create
        SegmentHostRoutes.host_routes_after_delete subnet.after_delete
        TrunkPlugin._trigger_trunk_status_change port.after_update
        _update_segment_host_mapping_for_agent agent.after_create agent.after_update""",
    ),
    Left(
        _NO,
        "is ML2's own call of `delete_*_postcommit`, which the manager leaves to workflows",
        """
        Ml2Plugin._network_delete_after_delete_handler network.after_delete
        Ml2Plugin._subnet_delete_after_delete_handler subnet.after_delete""",
    ),
    Left(
        _NO,
        "is for agents of other mechanism drivers, or for DHCP agents, of which OVN needs none",
        """
        DVRDbMixin._delete_mac_associated_with_agent agent.before_delete
        DhcpAgentNotifyAPI._after_router_interface_created router_interface.after_create
        DhcpAgentNotifyAPI._after_router_interface_deleted router_interface.after_delete
        DhcpAgentNotifyAPI._native_event_send_dhcp_notification network.after_create
        DhcpAgentNotifyAPI._native_event_send_dhcp_notification network.after_delete
        DhcpAgentNotifyAPI._native_event_send_dhcp_notification network.after_update
        DhcpAgentNotifyAPI._native_event_send_dhcp_notification port.after_create
        DhcpAgentNotifyAPI._native_event_send_dhcp_notification port.after_delete
        DhcpAgentNotifyAPI._native_event_send_dhcp_notification port.after_update
        DhcpAgentNotifyAPI._native_event_send_dhcp_notification subnet.after_create
        DhcpAgentNotifyAPI._native_event_send_dhcp_notification subnet.after_delete
        DhcpAgentNotifyAPI._native_event_send_dhcp_notification subnet.after_update
        DhcpAgentNotifyAPI._send_dhcp_notification network.before_response networks.before_response
        DhcpAgentNotifyAPI._send_dhcp_notification port.before_response ports.before_response
        DhcpAgentNotifyAPI._send_dhcp_notification subnet.before_response subnets.before_response
        Ml2Plugin._retry_binding_revived_agents agent.after_update
        Ml2Plugin.delete_agent_notified agent.after_delete
        OVSDriver._subport_binding port.after_update
        vif_details_bridge_name_handler ovs_bridge_name.before_read
        _ObjectChangeHandler.handle_event address_group.after_create address_group.after_update
        _ObjectChangeHandler.handle_event address_group.after_delete
        _ObjectChangeHandler.handle_event network.after_create network.after_update
        _ObjectChangeHandler.handle_event network.after_delete
        _ObjectChangeHandler.handle_event port.after_create port.after_update port.after_delete
        _ObjectChangeHandler.handle_event security_group.after_create security_group.after_update
        _ObjectChangeHandler.handle_event security_group.after_delete
        _ObjectChangeHandler.handle_event security_group_rule.after_create
        _ObjectChangeHandler.handle_event security_group_rule.after_update
        _ObjectChangeHandler.handle_event security_group_rule.after_delete
        _ObjectChangeHandler.handle_event subnet.after_create subnet.after_update
        _ObjectChangeHandler.handle_event subnet.after_delete""",
    ),
    Left(
        _NO,
        "calls Placement, no network backend, in the API call and past the journal: for bound "
        "ports with a policy that guarantees bandwidth or packets",
        """
        QoSPlugin._check_network_for_placement_allocation_change network.after_update
        QoSPlugin._check_port_for_placement_allocation_change port.before_update""",
    ),
    Left(
        _NO,
        "calls Nova and Placement, no network backends, past the journal: of subnets and ports of "
        "routed segments. Neutron loads the segments plugin by itself, if nobody has configured "
        "it, when the first network is deleted (`neutron/services/segments/db.py`)",
        """
        NovaSegmentNotifier._notify_host_addition_to_aggregate segment_host_mapping.after_create
        NovaSegmentNotifier._notify_host_removal_from_aggregate segment_host_mapping.after_delete
        NovaSegmentNotifier._notify_port_created_or_deleted port.after_create port.after_delete
        NovaSegmentNotifier._notify_port_updated port.after_update
        NovaSegmentNotifier._notify_segment_deleted segment.after_delete
        NovaSegmentNotifier._notify_subnet_created subnet.after_create
        NovaSegmentNotifier._notify_subnet_deleted subnet.after_delete
        NovaSegmentNotifier._notify_subnet_updated subnet.after_update""",
    ),
    Left(
        _NO,
        "calls the DNS service of `[DEFAULT] external_dns_driver`, no network backend, in the API "
        "call and past the journal; nothing where none is configured, as by default",
        """
        _create_port_in_external_dns_service port.after_create
        _delete_port_in_external_dns_service port.before_delete
        _update_port_in_external_dns_service port.after_update""",
    ),
)


def accounted() -> dict[What, Work | Left]:
    """Return what becomes of each subscription and call that is known."""
    return {**COVERED, **{what: left for left in LEFT for what in left.whats()}}


def unaccounted(found: loaded.Loaded) -> list[str]:
    """Return, in words, everything that the tables have no true answer for; none: all is covered.

    A covered one that is still called in the API process counts: its backend would be called twice.
    """
    answers = accounted()
    complaints = []
    for one in found.both:
        answer = answers.get(one.what)
        if answer is None:
            complaints.append(f"{one} is neither covered nor listed")
        elif isinstance(answer, Left) is one.lifted:
            complaints.append(f"{one} is {'not called' if one.lifted else 'still called'}")
    gone = sorted(answers.keys() - {one.what for one in found.both})
    return complaints + [f"{' '.join(what)} is listed, but not loaded" for what in gone]


def twice() -> collections.abc.Iterable[What]:
    """Return what is in both tables, or in one of them more than once."""
    whats = [*COVERED, *(what for left in LEFT for what in left.whats())]
    return sorted({what for what in whats if whats.count(what) > 1})
