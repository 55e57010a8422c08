# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Modes of ML2/OVN that do not go together with workflows; looked at when a process starts."""

from neutron.conf.plugins.ml2.drivers.ovn import ovn_conf
from neutron_lib.ovn import constants as ovn_const

from networking_workflow import releases
from networking_workflow.model import errors

#: What writes the Northbound database from the maintenance process, past the queue.
_REPAIRING = frozenset(
    {ovn_const.OVN_DB_SYNC_MODE_REPAIR, ovn_const.OVN_DB_SYNC_MODE_MIGRATE},
)


def check() -> None:
    """Return if the options of this process suit; OVN's driver has registered them.

    :raises ConfigurationError: otherwise.
    """
    check_is_known()
    mode = ovn_conf.get_ovn_neutron_sync_mode()
    if mode in _REPAIRING:
        raise errors.ConfigurationError(
            f"[ovn] neutron_sync_mode = {mode} makes OVN's maintenance process write to the "
            "Northbound database past the changes that wait in the queue. Set it to log or off."
        )


def check_is_known() -> None:
    """Return if it is known what OVN must hold; enough for who only compares.

    :raises ConfigurationError: otherwise.
    """
    if releases.switch_per_vlan_segment():
        raise errors.ConfigurationError(
            "[ovn] logical_switch_per_vlan_segment is not supported by networking-workflow: it "
            "programs one logical switch for each network. Set it to false, or use the core plugin "
            "ml2."
        )
