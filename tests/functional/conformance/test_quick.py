# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A few of Neutron's own tests, on this plugin; `make conformance` runs them all."""

import json
import os
import subprocess
import sys

import pytest

from lab.conformance import __main__ as conformance
from lab.conformance import results, suites
from lab.conformance.differences import DIFFERENCES
from lab.conformance.results import Outcome
from lab.conformance.variants import Variant

#: Module -> class -> tests that pass on stock in a fraction of a second each.
QUICK = {
    "plugins.ml2.test_plugin": {
        "TestMl2BasicGet": ("test_single_get_admin", "test_list_with_context_with_global_access"),
        "TestMl2NetworksV2": (
            "test_create_networks_bulk_native_quotas",
            "test_list_networks_with_fields",
            "test_list_networks_with_pagination_native",
            "test_list_networks_with_sort_native",
            "test_network_precommit_create_callback_aborts",
            "test_update_network_set_shared",
        ),
        "TestMl2SubnetsV2": ("test_create_two_subnets", "test_delete_subnet_with_callback"),
        "TestMl2PortsV2": (
            "test_delete_port",
            "test_list_ports_filtered_by_fixed_ip",
            "test_list_ports_with_pagination_native",
            "test_update_port",
        ),
        "TestMl2DbOperationBounds": ("test_network_list_queries_constant",),
        "TestFaultyMechansimDriver": ("test_create_network_faulty",),
    },
    "plugins.ml2.test_security_group": {
        "TestMl2SecurityGroups": (
            "test_create_security_group",
            "test_create_security_group_rule_bulk_native",
            "test_create_delete_security_group_port_in_use",
        ),
    },
    "services.trunk.test_plugin": {
        "TrunkPluginTestCase": ("test_delete_port_raise_in_use_by_trunk",),
    },
    "services.qos.test_qos_plugin": {
        "TestQosPluginDB": ("test_validate_create_port_callback_policy_on_port_and_network",),
    },
}

IDS = [
    f"{suites.PACKAGE}{module}.{case}.{test}"
    for module, cases in QUICK.items()
    for case, tests in cases.items()
    for test in tests
]


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> dict[str, results.Result]:
    """Neutron's tests want a process of their own: they change the whole of it."""
    folder = tmp_path_factory.mktemp("conformance")
    only = folder / "only.json"
    only.write_text(json.dumps(IDS))
    command = [sys.executable, "-m", "lab.conformance.worker", Variant.OURS, str(folder)]
    command += [f"--only={only}", *(f"--module={module}" for module in QUICK)]
    environment = {**os.environ, "OS_TEST_TIMEOUT": conformance.TEST_TIMEOUT_S}
    done = subprocess.run(
        command, cwd=conformance.ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return results.read(folder, Variant.OURS)


@pytest.mark.parametrize("id_", IDS)
def test_a_test_of_neutrons_ends_as_on_stock_or_its_difference_is_explained(ended, id_):
    explained = any(one.matches(id_.removeprefix(suites.PACKAGE)) for one in DIFFERENCES)
    assert ended[id_].outcome is (Outcome.FAILED if explained else Outcome.PASSED), ended[id_].why
    assert ended[id_].through_plugin


def test_a_driver_that_fails_after_the_commit_does_not_fail_the_call(ended):
    faulty = [one for id_, one in ended.items() if "TestFaultyMechansimDriver" in id_]
    assert [one.outcome for one in faulty] == [Outcome.FAILED]
    assert "201" in faulty[0].why
