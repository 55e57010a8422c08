# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A whole cloud on OVN with an embedded conductor: what ``make demo`` and ``make serve`` run."""

import contextlib
import pathlib
import shutil
import typing

from lab import neutron, ovn
from lab.databases import pool
from lab.neutron import schema

#: The compute host that bound ports are on.
COMPUTE = "compute-1"


class Cloud(typing.NamedTuple):
    """What runs until the stack that it was started on is closed."""

    api: neutron.NeutronApi
    central: ovn.OvnCentral


def start(
    kind: str,
    stack: contextlib.ExitStack,
    *,
    log: pathlib.Path,
    identity: neutron.Identity | None = None,
    stock: bool = False,
) -> Cloud:
    """Start a database of a kind ("sqlite", "mariadb"), OVN with one chassis, and neutron-api.

    Closing ``stack`` stops and deletes everything; neutron-api's log is kept as ``log``.

    :param identity: who a caller is that sends no headers; None: an administrator of no project.
    :param stock: without the journal: stock ML2.
    :raises LabError: if something does not start.
    """
    pools = pool.Pool()
    stack.callback(pools.close)
    database = pools.create(kind, "cloud")
    schema.create(database, workflow=not stock)
    central = stack.enter_context(ovn.OvnCentral())
    central.add_chassis("chassis-1", COMPUTE)
    profile = neutron.Profile(
        database_url=database.url,
        core_plugin="ml2" if stock else "ml2_workflow",
        mechanism_drivers=("ovn",),
        service_plugins=("ovn-router", "port_forwarding", "qos"),
        extension_drivers=("port_security", "qos"),
        ovn=central,
        workflow={} if stock else {"conductor": "embedded"},
        tenants=identity is not None,
        identity=identity,
    )
    deployment = stack.enter_context(neutron.Deployment(profile))
    api = neutron.NeutronApi(deployment)
    stack.callback(_keep, api.log_path, log)
    stack.enter_context(api)
    return Cloud(api, central)


def _keep(path: pathlib.Path, log: pathlib.Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        shutil.copyfile(path, log)
