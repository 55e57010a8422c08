# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Changes to stock's driver."""

import threading
import types

import pytest
from futurist import periodics
from neutron.plugins.ml2.drivers.ovn.mech_driver.ovsdb import maintenance, ovsdb_monitor

from networking_workflow.drivers.ovn import connections, seams


class Stock:
    """Has what stock's driver keeps in its instance."""

    def __init__(self) -> None:
        self._nb_ovn, self._sb_ovn, self._ovn_client_inst = "nb", "sb", "client"

    @property
    def nb_ovn(self) -> str:
        return self._nb_ovn


OWN = connections.Pair(nb="own nb", sb="own sb", client="own client", mcast_flood_broken=False)


def test_connections_depend_on_who_asks() -> None:
    driver = Stock()
    seams.use_own_connections(driver)
    seams.use_own_connections(driver)
    assert driver.nb_ovn == "nb"
    seen = []
    with seams.own_connections(OWN):
        assert (driver.nb_ovn, driver._ovn_client_inst) == ("own nb", "own client")
        thread = threading.Thread(target=lambda: seen.append(driver.nb_ovn))
        thread.start()
        thread.join()
    assert seen == ["nb"]
    assert driver.nb_ovn == "nb"


def test_stock_may_go_on_setting_its_own() -> None:
    driver = Stock()
    seams.use_own_connections(driver)
    driver._nb_ovn = "reconnected"
    assert driver.nb_ovn == "reconnected"


@pytest.mark.parametrize("name", seams.LEFT_TO_WORKFLOWS)
def test_repair_of_ovns_that_overtakes_workflows_is_never_run(name: str) -> None:
    stock = getattr(maintenance.DBInconsistenciesPeriodics, name)
    assert periodics.is_periodic(stock) or stock is seams._left_to_workflows
    seams.leave_repairs_to_workflows()
    current = getattr(maintenance.DBInconsistenciesPeriodics, name)
    assert not periodics.is_periodic(current)
    thread = maintenance.MaintenanceThread()
    thread.add_periodics(types.SimpleNamespace(check=current))
    assert thread._callables == []


def test_router_ports_are_nothing_to_the_events_of_their_switch_ports() -> None:
    seams.leave_router_ports_to_workflows()
    kind = ovsdb_monitor.LogicalSwitchPortUpdateLogicalRouterPortEvent
    event = kind.__new__(kind)
    assert event.match_fn("update", None, None) is False
