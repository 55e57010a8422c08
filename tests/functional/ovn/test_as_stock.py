# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The same calls leave the same Northbound database as with stock ML2/OVN."""

import collections.abc
import difflib
import typing

import pytest

from lab import ovn as lab_ovn
from lab.databases import pool
from tests.functional.capture import inprocess
from tests.functional.ovn import cloud, northbound, script


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
            return northbound.normalised(ovn, calls.names())
        finally:
            if conductor:
                conductor.close()
            neutron.close()


@pytest.fixture(scope="module")
def stock(database_pool: pool.Pool) -> collections.abc.Iterator[list[str]]:
    yield run(database_pool, cloud.StockNeutron, lambda _neutron: None, each=False)


@pytest.mark.parametrize("each", [True, False], ids=["after each call", "at the end"])
def test_same_rows_as_stock(stock: list[str], database_pool: pool.Pool, each: bool) -> None:
    ours = run(database_pool, cloud.Neutron, cloud.Conductor, each=each)
    assert len(stock) > 50
    assert ours == stock, "\n".join(difflib.unified_diff(stock, ours, "stock", "ours", n=0))
