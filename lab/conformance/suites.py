# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Which of Neutron's modules of tests are run, and which core plugins in them ML2 stands in for."""

#: Below ``neutron.tests.unit``, as the installed Neutron brings them. ``test_plugin`` of ML2 holds
#: ``test_db_base_plugin_v2`` as ML2 runs it.
MODULES = (
    "plugins.ml2.test_plugin",
    "plugins.ml2.test_security_group",
    "plugins.ml2.test_ext_portsecurity",
    "extensions.test_securitygroup",
    "extensions.test_l3",
    "services.trunk.test_plugin",
    "services.qos.test_qos_plugin",
    "services.portforwarding.test_pf_plugin",
    "extensions.test_floating_ip_port_forwarding",
    "extensions.test_expose_port_forwarding_in_fip",
    "plugins.ml2.drivers.ovn.mech_driver.test_mech_driver",
)

PACKAGE = "neutron.tests.unit."

#: What the suites name ML2 by.
ML2 = frozenset({"ml2", "neutron.plugins.ml2.plugin.Ml2Plugin"})

#: Core plugins made for tests alone. ML2 takes their place in both runs, so that the two differ by
#: this plugin and nothing else. Those that route by themselves (``TestL3NatIntPlugin``) stay.
REPLACED = frozenset(
    {
        "neutron.db.db_base_plugin_v2.NeutronDbPluginV2",
        "neutron.tests.unit.extensions.test_l3.TestNoL3NatPlugin",
        "neutron.tests.unit.extensions.test_securitygroup.SecurityGroupTestPlugin",
    }
)
