# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``docs/ovn.md`` names every writer that upstream has, and tests that exist."""

import ast
import inspect
import pathlib
import re
import typing

import pytest
from futurist import periodics
from neutron.cmd.ovn import neutron_ovn_db_sync_util as sync_tool
from neutron.plugins.ml2.drivers.ovn.mech_driver import mech_driver
from neutron.plugins.ml2.drivers.ovn.mech_driver.ovsdb import (
    maintenance,
    ovn_db_sync,
    ovsdb_monitor,
)
from neutron.services.ovn_l3 import ovsdb_monitor as router_monitor
from neutron.services.ovn_l3 import plugin as ovn_l3
from ovsdbapp.backend.ovs_idl import event as row_event

from networking_workflow.drivers.ovn import seams
from tests.unit.upstream import moved

REPOSITORY = pathlib.Path(__file__).resolve().parents[4]
PAGE = (REPOSITORY / "docs" / "ovn.md").read_text()
TESTS = REPOSITORY / "tests" / "functional" / "ovn" / "test_other_writers.py"


#: Source of the writers. A new digest: read what they write now, correct ``docs/ovn.md`` and what
#: is stopped, then write the new digest here.
UPSTREAM = {
    maintenance.DBInconsistenciesPeriodics: {28: "32a0d3dac33f", 29: "7c3ca68c3193"},
    ovsdb_monitor: {28: "8b1296937718", 29: "3e1151c62b04"},
    router_monitor: {28: "f976abde8ab0", 29: "65974a739e79"},
    mech_driver.OVNMechanismDriver.set_port_status_up: {28: "90ac38302ba2", 29: "da610417380b"},
    mech_driver.OVNMechanismDriver.set_port_status_down: "fe4767c8093f",
    mech_driver.OVNMechanismDriver.post_fork_initialize: {28: "71e658c502e0", 29: "248f22a49e3b"},
    mech_driver.OVNMechanismDriver._start_maintenance_thread: "6de8037cc43f",
    ovn_db_sync.OvnNbSynchronizer.do_sync: {28: "6950336132d8", 29: "e2690d5ca468"},
    ovn_db_sync.OvnSbSynchronizer.do_sync: "2369dc48310a",
    ovn_l3.OVNL3RouterPlugin._post_fork_initialize: {28: "fffc05c9e4a9", 29: "a408304b9496"},
    ovn_l3.OVNL3RouterPlugin.schedule_unhosted_gateways: {28: "fdb9501ef70e", 29: "c71d506112fe"},
    ovn_l3.OVNL3RouterPlugin.update_router_gateway_port_bindings: "521c5abb642d",
    sync_tool.main: {28: "dcaf247563fb", 29: "23bbe0deddcb"},
}


@pytest.mark.parametrize("upstream", UPSTREAM, ids=lambda thing: thing.__name__)
def test_writer_is_as_it_was_when_it_was_looked_at(upstream: typing.Any) -> None:
    otherwise = moved(upstream, UPSTREAM[upstream])
    assert not otherwise, otherwise


def named() -> set[str]:
    """Return what the page has in backticks."""
    return set(re.findall(r"`([^`]+)`", PAGE))


def tasks() -> set[str]:
    """Return the maintenance process's tasks, as upstream has them."""
    kind = maintenance.DBInconsistenciesPeriodics
    kept = {name for name, one in inspect.getmembers(kind) if periodics.is_periodic(one)}
    return kept | set(seams.LEFT_TO_WORKFLOWS)


def test_every_task_of_the_maintenance_process_is_named() -> None:
    assert len(tasks()) > 20
    assert tasks() <= named()


def test_every_event_that_an_api_process_handles_is_named() -> None:
    events = {
        name
        for module in (ovsdb_monitor, router_monitor)
        for name, one in vars(module).items()
        if inspect.isclass(one)
        and issubclass(one, row_event.RowEvent)
        and one.__module__ == module.__name__
    }
    assert len(events) > 15
    assert events <= named()


def test_whatever_is_stopped_is_called_so_and_nothing_else() -> None:
    rows = [line.split("|") for line in PAGE.splitlines() if line.startswith("|")]
    stopped = {
        name
        for row in rows
        if len(row) > 4 and any("**stopped**" in cell for cell in row)
        for name in re.findall(r"`([^`]+)`", row[1])
    }
    event = ovsdb_monitor.LogicalSwitchPortUpdateLogicalRouterPortEvent
    assert stopped == {*seams.LEFT_TO_WORKFLOWS, event.__name__}


def test_upstream_has_what_is_stopped() -> None:
    source = inspect.getsource(maintenance.DBInconsistenciesPeriodics)
    for name in seams.LEFT_TO_WORKFLOWS:
        assert f"    def {name}(self):" in source


def test_tests_that_the_page_names_exist() -> None:
    tree = ast.parse(TESTS.read_text())
    functions = {one.name for one in tree.body if isinstance(one, ast.FunctionDef)}
    writers = set(re.findall(r"`\[(\w+_\w+)\]`", PAGE))
    tests = {name for name in named() if name.startswith("test_")}
    assert len(tests) == 5 and len(writers) > 10
    assert tests <= functions
    (parameters,) = (
        one.value
        for one in tree.body
        if isinstance(one, ast.AnnAssign) and ast.unparse(one.target) == "WRITERS"
    )
    assert isinstance(parameters, ast.Dict)
    assert writers == {ast.unparse(key) for key in parameters.keys if key is not None}


def test_links_of_the_page_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (REPOSITORY / "docs" / target).exists()
