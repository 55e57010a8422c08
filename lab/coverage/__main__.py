# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Start OVN and Neutron, and write ``docs/coverage.md`` from them.

Exits 1 if something that is loaded is neither covered nor listed; the page is written all the same.
"""

import argparse
import collections.abc
import contextlib
import dataclasses
import json
import os
import pathlib
import sys
import typing

import sqlalchemy as sa
from neutron import service
from neutron.common import config as neutron_config
from neutron_lib.callbacks import events, registry, resources
from neutron_lib.plugins import directory

from lab import ovn as lab_ovn
from lab.coverage import accounts, loaded, page, story
from lab.databases import pool
from lab.neutron import config as lab_config
from lab.neutron import schema
from networking_workflow.capture import refusals

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "coverage.md"

#: What `subnet_dns_publish_fixed_ip` does, too: each of them builds on the one before.
_DNS = {"dns", "dns_domain_keywords", "dns_domain_ports"}


@contextlib.contextmanager
def running() -> collections.abc.Iterator[tuple[loaded.Loaded, story.Compared]]:
    """Start a Neutron in this process, once, with all that may be configured beside OVN."""
    lender = pool.Pool()
    with contextlib.ExitStack() as stack:
        stack.callback(lender.close)
        ovn = stack.enter_context(lab_ovn.OvnCentral())
        ovn.add_chassis("chassis1", host=story.HOST)
        database = lender.create("sqlite", "coverage")
        schema.create(database)
        profile = lab_config.Profile(
            database_url=database.url,
            core_plugin="ml2_workflow",
            mechanism_drivers=("ovn",),
            service_plugins=tuple(sorted(refusals.SERVICE_PLUGINS)),
            extension_drivers=tuple(sorted(refusals.EXTENSION_DRIVERS - _DNS)),
            tenants=True,
            ovn=ovn,
            workflow={"conductor": "separate"},
        )
        deployment = stack.enter_context(lab_config.Deployment(profile))
        seen: set[loaded.Subscription] = set()
        callbacks = registry._get_callback_manager()
        with loaded.noting(seen):
            app = _start(deployment)
            there = loaded.called(callbacks)
            teller = story.Teller(app, sa.create_engine(database.url, poolclass=sa.NullPool))
            stack.callback(teller.close)
            story.tell(teller)
        # Some subscribe when they are first used: the segments plugin, which Neutron itself loads
        # when the first network is deleted (neutron/services/segments/db.py).
        there |= loaded.called(callbacks)
        found = loaded.Loaded(
            loaded.subscriptions(seen, there), loaded.calls(directory.get_plugin())
        )
        yield found, teller.compared


def _start(deployment: lab_config.Deployment) -> typing.Any:
    files = [str(path) for path in deployment.config_files("coverage")]
    neutron_config.register_common_config_options()
    neutron_config.init([], default_config_files=files)
    neutron_config.set_config_defaults()
    app = neutron_config.load_paste_app("neutron")
    registry.publish(resources.PROCESS, events.BEFORE_SPAWN, service.RpcWorker)
    registry.publish(resources.PROCESS, events.AFTER_INIT, service.RpcWorker)
    # Without the events of an API process nobody tells the driver which chassis there are.
    driver = directory.get_plugin().mechanism_manager.mech_drivers["ovn"].obj
    driver._agent_cache.driver = driver
    driver._agent_cache.populate()
    return app


def main() -> int:
    """Do it; return the exit status."""
    parser = argparse.ArgumentParser(prog="make coverage", description=__doc__)
    parser.add_argument("--json", action="store_true", help="Print what is loaded instead")
    arguments = parser.parse_args()
    with running() as (found, compared):
        if arguments.json:
            said = {**dataclasses.asdict(found), "page": page.text(found, compared)}
            print(json.dumps(said))
            return 0
        PAGE.write_text(page.text(found, compared))
    complaints = accounts.unaccounted(found)
    for complaint in complaints:
        sys.stderr.write(f"{complaint}\n")
    return 1 if complaints else 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # the threads of OVN's driver would wait for their servers
