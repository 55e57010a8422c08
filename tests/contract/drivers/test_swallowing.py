# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The contract sees an ML2 mechanism driver that breaks it, on a real Neutron."""

import contextlib
import pathlib
import typing

import pytest
import requests

from networking_workflow.drivers.fabric import server
from networking_workflow.testing import contract, ml2, neutron
from tests.contract.drivers import test_fabric


def swallow(plugin: typing.Any) -> None:
    """Let the fabric's driver log what goes wrong with a network, as many drivers do."""
    driver = plugin.mechanism_manager.mech_drivers["fabric"].obj
    stock = driver.create_network_postcommit

    def create_network_postcommit(context: typing.Any) -> None:
        with contextlib.suppress(requests.RequestException):
            stock(context)

    driver.create_network_postcommit = create_network_postcommit


def test_mechanism_driver_that_swallows_errors_is_seen(tmp_path: pathlib.Path) -> None:
    with (
        server.FabricServer(("127.0.0.1", 0)).running() as running,
        neutron.running(
            tmp_path, mechanism_drivers="fabric", configuration=f"[fabric]\nurl = {running.url}\n"
        ) as process,
    ):
        driver, backend = ml2.Ml2Driver("fabric", process), test_fabric.Fabric(running)
        how = ml2.Ml2Contract()
        rows = ml2.Ml2Rows(process, driver, how.attributes, how.changes)
        lost_answer = contract.DriverContract().test_lost_answer_is_made_good_by_the_next_attempt
        lost_answer(driver, rows, backend, "network")
        process.call(swallow)
        with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
            lost_answer(driver, rows, backend, "network")
