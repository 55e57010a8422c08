# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What the Northbound database must hold for a resource, computed from Neutron's API dicts alone.

Nothing here asks a database, and nothing here knows how rows are written: ``apply`` and Neutron's
``OVNClient`` are checked against this, so it must not be derived from them.

Left out, because others than the resource's own workflow write it:

======================  ===============================================  ===========================
table                   column or key                                    who writes it
======================  ===============================================  ===========================
Logical_Switch_Port     ``up``, ``dynamic_addresses``, ``tag``           northd
Logical_Switch_Port     ``external_ids:neutron:host_id``                 API event threads (port up)
Logical_Switch_Port     ``external_ids:neutron:parent_hostname``         API event threads (virtual)
Logical_Switch_Port     ``external_ids:neutron:port_fip``                floating IPs
Logical_Switch_Port     ``ha_chassis_group``                             API event threads (chassis)
Logical_Switch_Port     ``type``, ``addresses``, ``options`` of router   router interfaces
                        ports
Logical_Switch_Port     ``options:qos_*`` without Neutron's QoS plugin   operators
Logical_Switch          ``acls``, ``qos_rules``, ``load_balancer``,      QoS, load balancers,
                        ``forwarding_groups``, other keys of             operators
                        ``other_config`` and ``external_ids``
Logical_Switch          physical network in ``external_ids``, and        maintenance process; what
                        ``other_config:fdb_age_threshold``, of a network the network had before
                        with several segments
DHCP_Options            ``options:server_mac`` (v4) and ``server_id``    who made the row: random
                        (v6) beyond being an Ethernet address
NAT                     ``external_mac`` while the port is down: of a    API event threads (port up)
                        distributed floating IP
NAT                     ``allowed_ext_ips``, ``exempted_ext_ips``,       operators
                        ``external_port_range``
ACL                     without Neutron's logging plugin: ``log``,       operators
                        ``name``, ``severity``, ``meter``, ``label``,
                        ``options``; ACLs without a rule id
======================  ===============================================  ===========================

What another release of Neutron than the newest writes otherwise is in ``releases.Northbound``.

Of the DNS records of a switch each port answers for its own; ``DNS:options`` are left out.
``options:requested-chassis`` is here: it is the port's ``binding:host_id`` and nothing else.
"""
