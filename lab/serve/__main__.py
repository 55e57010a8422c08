# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``make serve``: start a cloud, say how to use it, stop everything at Ctrl-C."""

import argparse
import contextlib
import pathlib
import signal
import sys
import threading

from lab import cloud, neutron, processes

#: Where neutron-api's log is kept when everything else is deleted.
LOG = pathlib.Path("build/serve/neutron-api.log")

#: Who calls: the command line has no headers to say so where there is no Keystone.
IDENTITY = neutron.Identity(user="demo", project="demo", roles="admin,member,reader")

OPENSTACK = pathlib.Path(sys.executable).parent / "openstack"

#: They work as they are printed, in this order.
COMMANDS = (
    "openstack network create web",
    "openstack subnet create --network web --subnet-range 10.0.0.0/24 web-v4",
    "openstack security group create http",
    "openstack security group rule create --protocol tcp --dst-port 80 http",
    f"openstack port create --network web --security-group http --host {cloud.COMPUTE} web-1",
    "openstack port set --name web-one web-1",
    "openstack port list --network web",
    "openstack network agent list",
    "openstack port delete web-one",
    "openstack network list",
)

#: What is behind the commands.
BEHIND = (
    "openstack network workflow list",
    "openstack network task list",
    "openstack network sync list --state SYNCED --state PENDING --state ERROR",
)


def main() -> int:
    """Serve until SIGINT or SIGTERM; return 1 if the cloud does not start."""
    parser = argparse.ArgumentParser(prog="make serve", description=__doc__)
    parser.add_argument("--db", choices=("sqlite", "mariadb"), default="sqlite")
    arguments = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stop.set())
    _say(f"Starting OVN, Neutron's schema on {arguments.db}, and neutron-api...")
    try:
        with contextlib.ExitStack() as stack:
            running = cloud.start(arguments.db, stack, log=LOG, identity=IDENTITY)
            _say(_usage(running.api.url))
            stop.wait()
            _say("Stopping everything.")
    except processes.LabError as failure:
        _say(f"The cloud does not start: {failure}")
        return 1
    return 0


def _usage(url: str) -> str:
    """Return what to type."""
    return "\n".join(
        (
            "In another terminal:",
            "",
            f"export OS_AUTH_TYPE=none OS_ENDPOINT={url} PATH={OPENSTACK.parent}:$PATH",
            "",
            *COMMANDS,
            "",
            "What is behind them:",
            "",
            *BEHIND,
            "",
            f"OVN has one chassis, {cloud.COMPUTE}. Ctrl-C stops and deletes everything.",
        )
    )


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
