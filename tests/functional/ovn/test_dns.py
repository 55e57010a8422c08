# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""DNS records: each port's own ones in the row of its switch, whatever becomes of its name."""

import collections.abc
import dataclasses
import typing

import pytest

from lab import ovn as lab_ovn
from lab.databases import pool
from lab.neutron import config as lab_config
from networking_workflow.drivers.ovn.expect import dns as expect_dns
from tests.functional.capture import inprocess
from tests.functional.ovn import cloud, noticing

DOMAIN = "example.org"


class Neutron(cloud.Neutron):
    def profile(self) -> lab_config.Profile:
        return dataclasses.replace(
            super().profile(),
            service_plugins=("ovn-router",),  # the extension of DNS wants that of routers
            extension_drivers=("port_security", "dns"),
            options={"DEFAULT": {"dns_domain": f"{DOMAIN}."}},
        )


@pytest.fixture(scope="module")
def neutron(
    database_pool: pool.Pool, ovn: lab_ovn.OvnCentral
) -> collections.abc.Iterator[cloud.Neutron]:
    running = Neutron(database_pool.empty("sqlite", "capture", inprocess.tables_of), ovn)
    yield running
    running.close()


class Named:
    """A network with the domain ``net.test`` and two ports of devices, ``www`` and ``mail``."""

    def __init__(self, conductor: cloud.Conductor) -> None:
        self.conductor, self.neutron = conductor, conductor.neutron
        network = self.neutron.create("network", dns_domain="net.test.")["id"]
        self.network = network
        for version, cidr in ((4, "10.9.0.0/24"), (6, "2001:db8:9::/64")):
            self.neutron.create("subnet", network_id=network, ip_version=version, cidr=cidr)

    def make_ports(self) -> None:
        self.www, self.mail = (
            self.neutron.create("port", network_id=self.network, dns_name=name, device_id=name)
            for name in ("www", "mail")
        )
        self.conductor.drain()

    def delete_ports(self) -> None:
        for port in self.neutron.call("GET", f"ports?network_id={self.network}")["ports"]:
            if not port["device_owner"]:
                self.neutron.delete("port", port["id"])
        self.conductor.drain()

    def update(self, port: typing.Any, **values: typing.Any) -> None:
        self.neutron.update("port", port["id"], **values)
        self.conductor.drain()

    def records(self) -> dict[str, str]:
        """Return all records of the switch."""
        client = self.conductor.driver._connections.get().client
        _, row = client._nb_idl.get_ls_and_dns_record(f"neutron-{self.network}")
        return {} if row is None else dict(row.records)

    def of(self, *ports: typing.Any) -> dict[str, str]:
        """Return the records that stock would write for ports."""
        client = self.conductor.driver._connections.get().client
        network = self.neutron.show("network", self.network)
        found: dict[str, str] = {}
        for port in ports:
            shown = self.neutron.show("port", port["id"])
            records = client.get_port_dns_records({**shown, "network": network})
            assert expect_dns.records(shown, network) == records
            found |= records
        return found


@pytest.fixture(scope="module")
def network(conductor: cloud.Conductor) -> Named:
    return Named(conductor)


@pytest.fixture
def named(network: Named) -> collections.abc.Iterator[Named]:
    network.make_ports()
    yield network
    network.delete_ports()
    assert network.records() == {}


def test_records_are_those_of_stock(named: Named) -> None:
    addresses = " ".join(ip["ip_address"] for ip in named.www["fixed_ips"])
    assert named.records() == named.of(named.www, named.mail)
    for name in ("www", f"www.{DOMAIN}", "www.net.test"):
        assert named.records()[name] == addresses


def test_old_name_goes_and_the_others_stay(named: Named) -> None:
    named.update(named.www, dns_name="web")
    assert named.records() == named.of(named.www, named.mail)
    named.update(named.www, dns_name="")
    assert named.records() == named.of(named.mail)
    named.update(named.www, dns_name="www")
    named.update(named.www, device_id="")
    assert named.records() == named.of(named.mail)


def test_name_that_another_port_has_taken_stays_there(named: Named) -> None:
    named.update(named.mail, dns_name="www")
    taken = named.records()
    named.update(named.www, dns_name="web")
    assert named.records() == taken | named.of(named.www)


def test_records_go_with_their_port(named: Named) -> None:
    named.neutron.delete("port", named.www["id"])
    named.conductor.drain()
    assert named.records() == named.of(named.mail)


def test_records_that_stock_wrote_go_as_ours_do(named: Named) -> None:
    named.conductor.applied.clear()  # nobody has remembered what stock wrote
    named.update(named.www, dns_name="web")
    assert named.records() == named.of(named.www, named.mail)
    named.conductor.applied.clear()
    named.neutron.delete("port", named.www["id"])
    named.conductor.drain()
    assert named.records() == named.of(named.mail)


@pytest.mark.parametrize(
    "damage",
    [
        lambda row: ("remove", "DNS", row, "records", "www"),
        lambda row: ("set", "DNS", row, 'records:www="192.0.2.1"'),
        lambda row: ("--if-exists", "destroy", "DNS", row),
    ],
    ids=["removed", "changed", "row"],
)
def test_damage_is_noticed_and_healed(named: Named, damage: typing.Any) -> None:
    healthy, ovn = named.records(), named.neutron.ovn
    condition = f"external_ids:ls_name=neutron-{named.network}"
    row = ovn.nbctl("--bare", "--columns=_uuid", "find", "DNS", condition).strip()
    words = damage(row)
    if words[1] == "destroy":  # a switch refers to it
        ovn.nbctl("remove", "Logical_Switch", f"neutron-{named.network}", "dns_records", row)
        ovn.nbctl(*words)
    else:
        ovn.nbctl(*words)
    assert named.records() != healthy
    with noticing.noticed() as found:
        for port in (named.www, named.mail):
            named.conductor.apply("port", port["id"])
    assert noticing.names(found)[0] in ("DNS", "DNS records:www")
    assert named.records() == healthy
