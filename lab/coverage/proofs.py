# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Which test shows what of a resource's create, update and delete.

Capture: the cases of two tables of calls, found by their names. OVN: tests by name. All is read
from the text of the test files.
"""

import ast
import collections
import functools
import pathlib

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]

#: Files with a table ``OPERATIONS`` of calls, each of which a test compares with the database.
CALLS = (
    "tests/functional/capture/test_operations.py",
    "tests/functional/services/test_operations.py",
)

Work = tuple[str, str]

#: First word of a call's name -> kind.
_KINDS = {
    "network": "network",
    "subnet": "subnet",
    "port": "port",
    "group": "security_group",
    "rule": "security_group_rule",
    "address": "address_group",
    "router": "router",
    "interface": "router_interface",
    "floatingip": "floatingip",
    "forwarding": "port_forwarding",
    "policy": "qos_policy",
    "trunk": "trunk",
    "log": "log",
}

#: How a call's name begins -> what it is about, where its words say something else.
_OTHERWISE: dict[str, Work] = {
    "interface add": ("router_interface", "create"),
    "interface remove": ("router_interface", "delete"),
    "forwarding loses": ("port_forwarding", "delete"),
    "policy rule": ("qos_policy", "update"),
    "policy dscp": ("qos_policy", "update"),
    "policy attach to port": ("port", "update"),
    "policy detach from port": ("port", "update"),
    "policy attach to network": ("network", "update"),
    "policy detach from network": ("network", "update"),
    "trunk add_subports": ("subport", "create"),
    "trunk remove_subports": ("subport", "delete"),
    "segment": ("network", "update"),
}

#: What the API has no call for.
NO_SUCH_CALL: frozenset[Work] = frozenset(
    {("security_group_rule", "update"), ("subport", "update")}
)

_LIFE = "ovn/test_lifecycle.py::"
_ROUTED = "promises/test_services.py::test_routed_cloud_comes_to_ovn_changes_there_and_goes"
_TRUNK = "promises/test_services.py::test_trunk_comes_to_ovn_changes_there_and_goes"
_DAMAGE = "ovn/test_damage.py::test_damage_is_noticed_by_name_and_healed"

#: Kind -> tests that see all of its life in a real OVN.
LIVES: dict[str, str] = {
    "network": f"{_LIFE}test_network",
    "subnet": f"{_LIFE}test_subnet",
    "port": f"{_LIFE}test_port",
    "security_group": f"{_LIFE}test_security_group",
    "security_group_rule": f"{_LIFE}test_rule",
    "address_group": f"{_LIFE}test_address_group",
    "qos_policy": _ROUTED,
    "router": _ROUTED,
    "router_interface": _ROUTED,
    "floatingip": _ROUTED,
    "port_forwarding": _ROUTED,
    "trunk": _TRUNK,
    "subport": _TRUNK,
    "log": "ovn/test_log_changes.py::test_no_call_of_the_api_reaches_ovn_and_each_workflow_does",
}

#: Kind -> tests that damage what is read back, and see it noticed and healed.
READ_BACK: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        (
            *("network", "subnet", "port"),
            *("security_group", "security_group_rule", "address_group"),
        ),
        (_DAMAGE,),
    ),
    "network": (_DAMAGE, "ovn/test_segments.py::test_damage_is_noticed_by_name_and_healed"),
    "qos_policy": ("ovn/test_qos.py::test_a_damaged_row_is_noticed_by_name_and_healed",),
    "router": (
        "ovn/test_routers.py::test_a_damaged_column_of_the_router_is_noticed_and_healed",
        "ovn/test_routers.py::test_whatever_else_is_damaged_is_noticed_and_healed",
    ),
    "router_interface": (
        "ovn/test_routers.py::test_a_damaged_column_of_a_router_port_is_noticed_and_healed",
    ),
    "floatingip": (
        "ovn/test_floatingips.py::"
        "test_a_damaged_column_of_the_nat_rule_is_noticed_and_healed_in_place",
    ),
    "port_forwarding": (
        "ovn/test_port_forwardings.py::test_a_damaged_load_balancer_is_noticed_by_name_and_healed",
    ),
    "trunk": ("ovn/test_trunks.py::test_a_damaged_subport_is_healed",),
    "subport": ("ovn/test_trunks.py::test_a_damaged_subport_is_healed",),
    "log": (
        "ovn/test_log.py::test_damaged_column_of_a_rule_is_noticed_by_name_and_healed",
        "ovn/test_log.py::test_damaged_meter_is_noticed_by_name_and_healed",
    ),
}


def work_of(call: str) -> Work | None:
    """Return what a call of that name is about; None: nobody knows."""
    for prefix, work in _OTHERWISE.items():
        if call.startswith(prefix):
            return work
    kind = _KINDS.get(call.split()[0])
    operation = next((one for one in ("create", "delete") if one in call.split()), "update")
    return (kind, operation) if kind else None


@functools.cache
def calls() -> tuple[str, ...]:
    """Return the name of every call of :data:`CALLS`."""
    return tuple(name for file in CALLS for name in _keys_of(_tree(REPOSITORY / file)))


def calls_of() -> dict[Work, list[str]]:
    """Return the names of the calls that are about each kind and operation."""
    found = collections.defaultdict(list)
    for name in calls():
        work = work_of(name)
        if work:
            found[work].append(name)
    return found


def missing() -> list[str]:
    """Return which named tests do not exist, which calls are about nothing that is known."""
    named = {*LIVES.values(), *(test for tests in READ_BACK.values() for test in tests)}
    return sorted(
        [test for test in named if not _exists(test)]
        + [call for call in calls() if work_of(call) is None]
    )


def _exists(test: str) -> bool:
    file, _, function = test.partition("::")
    path = REPOSITORY / "tests" / "functional" / file
    if not path.exists():
        return False
    return any(
        isinstance(one, ast.FunctionDef) and one.name == function for one in _tree(path).body
    )


def _tree(path: pathlib.Path) -> ast.Module:
    return ast.parse(path.read_text())


def _keys_of(tree: ast.Module) -> list[str]:
    """Return the keys of the table ``OPERATIONS``."""
    (table,) = [
        one.value
        for one in tree.body
        if isinstance(one, ast.AnnAssign) and ast.unparse(one.target) == "OPERATIONS"
    ]
    assert isinstance(table, ast.Dict)
    return [ast.literal_eval(key) for key in table.keys if key is not None]
