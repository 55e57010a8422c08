# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Thousands of ports that Neutron's API made, for the price of a few.

One port a network is made through the API; its rows in all of Neutron's tables are copied by SQL,
and the workflows are recorded by the journal's own functions in the same transaction. Or they are
not: then the ports are as stock ML2/OVN makes them.
"""

import collections.abc
import ipaddress
import typing
import uuid

import sqlalchemy as sa

from networking_workflow.journal import engine as journal_engine
from networking_workflow.journal import record, references, tables
from networking_workflow.model import states, workflows
from networking_workflow.plan import keys

Json = dict[str, typing.Any]

#: Ports recorded in one transaction.
_BATCH = 500


class Seeds:
    """Copies ports of one database.

    :param url: of a database with Neutron's schema; workflows are recorded if it has ours, too.
    :param recorded: give each port a workflow that makes it; else what OVN holds of the original is
        written down of its copies, too.
    """

    def __init__(self, url: str, *, recorded: bool = True) -> None:
        self._engine = journal_engine.make_engine(url, pool_size=1)
        self._tables = sa.MetaData()
        self._tables.reflect(self._engine)
        self._recorded = recorded

    def close(self) -> None:
        """Close the connection."""
        self._engine.dispose()

    def copy(self, port: Json, number: int) -> None:
        """Make ``number`` ports like ``port``, the first of its network.

        :raises ValueError: if the port has not one fixed address.
        """
        (fixed,) = port["fixed_ips"]
        first = ipaddress.ip_address(fixed["ip_address"])
        addresses = [str(first + 1 + place) for place in range(number)]
        for start in range(0, number, _BATCH):
            with self._engine.begin() as connection:
                self._copy(connection, port["id"], fixed, addresses[start : start + _BATCH])

    def _copy(
        self, connection: sa.Connection, port_id: str, fixed: Json, addresses: list[str]
    ) -> None:
        rows = self._rows(connection, port_id)
        original = rows.pop("ports")[0]
        ids = {address: str(uuid.uuid4()) for address in addresses}
        attributes = self._standard_attributes(connection, original["standard_attr_id"], addresses)
        ports = [
            {
                **original,
                "id": ids[address],
                "mac_address": _mac(address),
                "standard_attr_id": attributes[address],
            }
            for address in addresses
        ]
        connection.execute(sa.insert(self._tables.tables["ports"]), ports)
        for name, found in rows.items():
            copies = [
                {**row, "port_id": ids[address]}
                | ({"ip_address": address} if name == "ipallocations" else {})
                for row in found
                for address in addresses
            ]
            connection.execute(sa.insert(self._tables.tables[name]), copies)
        self._allocate(connection, fixed, addresses)
        if not self._recorded:
            self._revise(connection, port_id, ports)
        elif tables.workflows.name in self._tables.tables:
            self._record(connection, ports)

    def _allocate(self, connection: sa.Connection, fixed: Json, addresses: list[str]) -> None:
        """Take the addresses at IPAM, whose rows do not name the port."""
        allocations, subnets = (
            self._tables.tables[name] for name in ("ipamallocations", "ipamsubnets")
        )
        of_subnet = subnets.c.neutron_subnet_id == fixed["subnet_id"]
        found = (
            sa.select(allocations)
            .join(subnets, subnets.c.id == allocations.c.ipam_subnet_id)
            .where(of_subnet, allocations.c.ip_address == fixed["ip_address"])
        )
        original = dict(connection.execute(found).mappings().one())
        connection.execute(
            sa.insert(allocations), [{**original, "ip_address": address} for address in addresses]
        )

    def _revise(self, connection: sa.Connection, port_id: str, ports: list[Json]) -> None:
        """Say of the copies which revision OVN holds, as its driver has said of the original."""
        table = self._tables.tables["ovn_revision_numbers"]
        row = connection.execute(sa.select(table).where(table.c.resource_uuid == port_id))
        original = dict(row.mappings().one())
        connection.execute(
            sa.insert(table),
            [
                {
                    **original,
                    "resource_uuid": port["id"],
                    "standard_attr_id": port["standard_attr_id"],
                }
                for port in ports
            ],
        )

    def _rows(self, connection: sa.Connection, port_id: str) -> dict[str, list[Json]]:
        """Return the rows that the port has, by table; its own, and those that name it."""
        found: dict[str, list[Json]] = {}
        for name, table in self._tables.tables.items():
            column = table.c.id if name == "ports" else table.c.get("port_id")
            refers = column is not None and any(
                key.target_fullname == "ports.id" for key in column.foreign_keys
            )
            if column is not None and (name == "ports" or refers):
                rows = connection.execute(sa.select(table).where(column == port_id)).mappings()
                found[name] = [dict(row) for row in rows]
        return {name: rows for name, rows in found.items() if rows}

    def _standard_attributes(
        self, connection: sa.Connection, like: int, addresses: list[str]
    ) -> dict[str, int]:
        table = self._tables.tables["standardattributes"]
        row = connection.execute(sa.select(table).where(table.c.id == like)).mappings().one()
        last = connection.execute(sa.select(sa.func.max(table.c.id))).scalar_one()
        ids = {address: last + 1 + place for place, address in enumerate(addresses)}
        connection.execute(
            sa.insert(table), [{**row, "id": identifier} for identifier in ids.values()]
        )
        return ids

    @staticmethod
    def _record(connection: sa.Connection, ports: collections.abc.Sequence[Json]) -> None:
        found = references.read(connection, "port", [port["id"] for port in ports])
        record.record(
            connection,
            [
                workflows.NewWorkflow(
                    id=str(uuid.uuid4()),
                    resource_type="port",
                    resource_id=port["id"],
                    operation=states.Operation.CREATE,
                    keys=keys.keys_for("default", "port", port["id"], found[port["id"]].references),
                    project_id=port["project_id"],
                    operation_id=f"req-{port['id']}",
                    request_id=f"req-{port['id']}",
                    standard_attr_id=port["standard_attr_id"],
                )
                for port in ports
            ],
        )


def _mac(address: str) -> str:
    packed = ipaddress.ip_address(address).packed[-4:]
    return "fa:16:" + ":".join(f"{byte:02x}" for byte in packed)
