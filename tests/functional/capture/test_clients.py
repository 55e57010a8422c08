# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Many writers at once."""

import collections
import concurrent.futures

import pytest

CLIENTS = 8

#: On SQLite writers queue; elsewhere the database's own locks are at work, which fewer show.
PORTS = {"sqlite": 100, "mariadb": 40}


@pytest.mark.on_sqlite
@pytest.mark.slow
def test_eight_clients_that_create_ports_see_no_error(neutron):
    network = neutron.create("network", name="n")
    neutron.create("subnet", network_id=network["id"], ip_version=4, cidr="10.0.0.0/16")
    neutron.create("port", network_id=network["id"])
    with (
        neutron.capturing() as found,
        concurrent.futures.ThreadPoolExecutor(CLIENTS) as clients,
    ):
        ports = list(
            clients.map(
                lambda number: neutron.create("port", network_id=network["id"], name=str(number)),
                range(PORTS[neutron.database.kind]),
            )
        )
    created = collections.Counter(one.resource_id for one in found if one.what[0] == "create")
    assert created == collections.Counter(port["id"] for port in ports)
    gens = {one.keys[f"default:network/{network['id']}"] for one in found}
    assert gens == {"S"}
