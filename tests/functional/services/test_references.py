# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What is relied on through another resource's rows."""

import pytest

from networking_workflow.journal import references


@pytest.fixture
def limited(world):
    """A world whose networks have the policy."""
    for network in (world.network, world.external):
        world.neutron.update("network", network["id"], qos_policy_id=world.policy["id"])
    return world


@pytest.mark.parametrize(
    ("kind", "which"), [("port", "port"), ("floatingip", "associated"), ("router", "router")]
)
def test_policy_of_the_network_holds_for_what_has_none_of_its_own(limited, kind, which):
    resource_id = getattr(limited, which)["id"]
    with limited.neutron.engine.connect() as connection:
        found = references.today(connection, kind, resource_id)
        read = references.read(connection, kind, [resource_id])[resource_id].references
    assert ("qos_policy", limited.policy["id"]) in found
    assert read == found
