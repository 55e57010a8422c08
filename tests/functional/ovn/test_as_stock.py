# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The same calls leave the same Northbound database as with stock ML2/OVN.

Revision numbers are left out: stock's lag behind the database after changes of status. That ours
are the database's is tested for each kind in ``test_lifecycle``.
"""

import collections.abc
import contextlib
import difflib
import re
import typing

import pytest

from lab import ovn as lab_ovn
from lab.databases import pool
from networking_workflow import releases
from tests.functional.capture import inprocess
from tests.functional.ovn import cloud, northbound, script, test_shadow


def run(
    database_pool: pool.Pool,
    kind: type[cloud.Neutron],
    make_conductor: typing.Callable[[cloud.Neutron], cloud.Conductor | None],
    *,
    each: bool,
) -> list[str]:
    with lab_ovn.OvnCentral() as ovn:
        ovn.add_chassis("ch1", "cmp1")
        database = database_pool.empty("sqlite", "capture", inprocess.tables_of)
        neutron = kind(database, ovn)
        conductor = make_conductor(neutron)
        try:
            drain = conductor.drain if conductor else lambda: []
            calls = script.Script(neutron, after=drain if each else lambda: None)
            calls.run()
            drain()
            return northbound.normalised(ovn, calls.names(), revisions=False)
        finally:
            if conductor:
                conductor.close()
            neutron.close()


@pytest.fixture(scope="module")
def stock(database_pool: pool.Pool) -> collections.abc.Iterator[list[str]]:
    yield run(database_pool, cloud.StockNeutron, lambda _neutron: None, each=False)


def test_same_rows_as_stock_if_applied_after_each_call(
    stock: list[str], database_pool: pool.Pool
) -> None:
    ours = run(database_pool, cloud.Neutron, cloud.Conductor, each=True)
    assert len(stock) > 50
    assert ours == stock, _differ(stock, ours)


def test_same_rows_as_stock_if_applied_at_the_end(
    stock: list[str], database_pool: pool.Pool
) -> None:
    """But for one port: a metadata port gets an IPv6 address if its network comes after the subnet.

    That is stock's rule (``ovn_client.py``, ``create_metadata_port``), and nothing uses it.
    """
    ours = run(database_pool, cloud.Neutron, cloud.Conductor, each=False)
    metadata = '"name": "<port metadata of provider>"'
    stock, ours = ([one for one in lines if metadata not in one] for lines in (stock, ours))
    assert ours == stock, _differ(stock, ours)


def test_same_rows_as_stock_in_the_mode_that_only_looks_and_what_stock_forgets_is_found(
    stock: list[str], database_pool: pool.Pool
) -> None:
    """Stock tells ports a changed MTU of their network when they are changed themselves.

    The script's network has no other port then than its metadata port, which has no MTU with 28.
    """
    found: list[str] = []
    with lab_ovn.OvnCentral() as ovn, contextlib.ExitStack() as stack:
        ovn.add_chassis("ch1", "cmp1")
        database = database_pool.empty("sqlite", "capture", inprocess.tables_of)
        neutron = stack.enter_context(contextlib.closing(test_shadow.Neutron(database, ovn)))
        looking = stack.enter_context(contextlib.closing(test_shadow.Conductor(neutron)))
        calls = script.Script(neutron, after=lambda: found.append(looking.found()))
        calls.run()
        held = northbound.normalised(ovn, calls.names(), revisions=False)
        assert len(looking.done) > 80
    assert held == stock, _differ(stock, held)
    forgotten = (
        r"update network: Logical_Switch_Port \S+: external_ids:neutron:mtu is '1442', "
        "expected '1400'"
    )
    said = "\n".join(filter(None, found))
    assert bool(said) is releases.northbound().local_ports_have_mtu
    assert all(re.fullmatch(forgotten, one) for one in said.splitlines()), said


def _differ(stock: list[str], ours: list[str]) -> str:
    return "\n".join(difflib.unified_diff(stock, ours, "stock", "ours", n=0))
