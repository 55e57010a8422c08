# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Several fabrics beside each other: the mechanism driver with options of its own for each.

For ``Profile.drivers``, which makes them known to Neutron's processes.
"""

from networking_workflow.drivers.fabric import driver


class SecondFabric(driver.FabricMechanismDriver):
    """A fabric of which ``[fabric_second]`` tells where it is."""

    group = "fabric_second"


class ThirdFabric(driver.FabricMechanismDriver):
    """A fabric of which ``[fabric_third]`` tells where it is."""

    group = "fabric_third"


#: Alias -> where its class is.
DRIVERS = {
    "fabric_second": "lab.fabrics:SecondFabric",
    "fabric_third": "lab.fabrics:ThirdFabric",
}
