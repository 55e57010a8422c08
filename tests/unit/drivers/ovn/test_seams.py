# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Changes to stock's driver."""

import threading
import types
import typing
import weakref

import pytest
from futurist import periodics
from neutron.plugins.ml2.drivers.ovn.mech_driver.ovsdb import (
    maintenance,
    ovn_client,
    ovsdb_monitor,
)
from neutron.services.ovn_l3 import plugin as ovn_l3
from ovsdbapp.backend.ovs_idl import connection

from networking_workflow.drivers.ovn import connections, reads, seams
from tests.unit.upstream import moved

#: Source of what is reached into. A new digest: read the upstream change, adapt what reaches into
#: it, then write the new digest here.
UPSTREAM = {
    ovn_client.OVNClient.create_port: {28: "a0ca5f117ad4", 29: "2edfd542c37b"},
    ovn_client.OVNClient.update_port: {28: "2ff5b6e1fced", 29: "00f45418682d"},
    ovn_client.OVNClient._get_port_options: {28: "2660a7ba6b0d", 29: "4cb1aa60d7a6"},
    connection.Connection.run: {28: "2e7cd5a3a9a0", 29: "212525147ec6"},
    connection.TransactionQueue: "07aad648b4fe",
    ovn_l3.OVNL3RouterPlugin._ovn_client.fget: "40d4e64f1469",
}


@pytest.mark.parametrize("upstream", UPSTREAM, ids=lambda thing: thing.__qualname__)
def test_what_is_reached_into_is_as_it_was(upstream: typing.Any) -> None:
    otherwise = moved(upstream, UPSTREAM[upstream])
    assert not otherwise, otherwise


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


class StockRouters:
    """Makes its client at the first use and keeps it, as OVN's router plugin does."""

    def __init__(self) -> None:
        self._ovn_client_inst: str | None = None

    @property
    def client(self) -> str:
        if self._ovn_client_inst is None:
            self._ovn_client_inst = "client"
        return self._ovn_client_inst


def test_the_client_of_routers_is_the_process_own_even_if_a_conductor_asks_first() -> None:
    plugin = StockRouters()
    seams.use_own_client(weakref.proxy(plugin))  # as ``directory.get_plugin`` returns it
    seams.use_own_client(weakref.proxy(plugin))
    with seams.own_connections(OWN):
        assert plugin.client == "own client"
    assert plugin.client == "client"


def test_a_router_plugin_of_somebody_else_is_left_alone() -> None:
    seams.use_own_client(None)
    seams.use_own_client(plugin := object())
    assert type(plugin) is object


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


def test_revision_is_not_written_where_the_caller_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    bumped: list[str] = []
    stock = types.SimpleNamespace(bump_revision=lambda *_: bumped.append("bumped"), other="other")
    monkeypatch.setattr(ovn_client, "db_rev", stock)
    seams.ask_each_thread_for_revisions()
    seams.ask_each_thread_for_revisions()
    with seams.revision_bumped_later():
        ovn_client.db_rev.bump_revision("context", {}, "ports")
    assert bumped == []
    ovn_client.db_rev.bump_revision("context", {}, "ports")
    assert bumped == ["bumped"]
    assert ovn_client.db_rev.other == "other"


class Core:
    """A core plugin that says what it was asked for."""

    def get_subnets(self, _context: str, filters: object = None, **others: object) -> object:
        return ["asked", filters, others]

    def get_network(self, _context: str, name: str) -> str:
        return name


def test_what_an_apply_has_read_is_not_asked_for_again() -> None:
    client = ovn_client.OVNClient.__new__(ovn_client.OVNClient)
    client._plugin_property = reads.Plugin(Core())
    plugin = client._plugin
    ids = {"id": ["a", "b", "a"]}
    with reads.known_subnets({"a": {"id": "a"}, "b": {"id": "b"}}):
        assert plugin.get_subnets("context", filters=ids) == [{"id": "a"}, {"id": "b"}]
        unknown = {"id": ["a", "c"]}
        assert plugin.get_subnets("context", filters=unknown) == ["asked", unknown, {}]
        assert plugin.get_subnets("context", filters=ids, limit=1) == ["asked", ids, {"limit": 1}]
        assert plugin.get_subnets("context") == ["asked", None, {}]
        assert plugin.get_network("context", "net") == "net"
    assert plugin.get_subnets("context", filters=ids) == ["asked", ids, {}]
