# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What each API call records."""


def test_network_create(neutron):
    with neutron.capturing() as found:
        neutron.create("network", name="n")
    assert ("create", "network") in [w.what for w in found]
