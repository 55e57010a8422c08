# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``make demo``: start everything, tell the story, compare, clean up.

Exit status: 0 if every workflow ended and OVN holds what Neutron says, 1 otherwise.
"""

import argparse
import contextlib
import pathlib
import signal
import sys
import time
import typing

import openstack.exceptions

from lab import client, cloud, processes
from lab.demo import changes, compare, screen, stock, story

#: Where neutron-api's log is kept when everything else is deleted.
LOG = pathlib.Path("build/demo/neutron-api.log")

STOCK_LOG = LOG.with_name("stock-neutron-api.log")


def main() -> int:
    """Run the demonstration; return the exit status."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--db", choices=("sqlite", "mariadb"), default="sqlite")
    parser.add_argument("--stock", action="store_true", help="tell it on stock ML2/OVN beside it")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    show = screen.Screen()
    begun = time.monotonic()
    try:
        with contextlib.ExitStack() as stack:
            result = _run(arguments.db, show, stack, beside=arguments.stock)
    except KeyboardInterrupt:
        show.say("Interrupted; everything that was started has been stopped.")
        return 130
    except (story.StoryFailed, processes.LabError, openstack.exceptions.SDKException) as failure:
        show.say(f"The demonstration failed: {failure}")
        show.say(f"The log of neutron-api, if it was started: {LOG}")
        return 1
    return _summary(show, result, time.monotonic() - begun)


def _interrupt(_signal: int, _frame: object) -> typing.NoReturn:
    raise KeyboardInterrupt


def _run(
    kind: str, show: screen.Screen, stack: contextlib.ExitStack, *, beside: bool
) -> compare.Comparison:
    show.say(f"Starting OVN, Neutron's schema on {kind}, and neutron-api with its conductor...")
    api, central = cloud.start(kind, stack, log=LOG)
    show.say(f"neutron-api answers at {api.url}; its log is {api.log_path} while this runs.")
    tenant = changes.Tenant(client.sdk(api.url))
    told = story.Story(
        tenant, central, show, cloud.COMPUTE, _stock(show, stack) if beside else None
    )
    result = told.tell()
    show.say(f"{len(tenant.changes)} changes were made through the API.")
    return result


def _stock(show: screen.Screen, stack: contextlib.ExitStack) -> stock.Stock:
    """Start stock, always on MariaDB: on SQLite it answers 500, "database is locked"."""
    show.say("Starting stock ML2/OVN beside it, with an OVN of its own, on MariaDB...")
    api, central = cloud.start("mariadb", stack, log=STOCK_LOG, stock=True)
    show.say(f"Stock neutron-api answers at {api.url}.")
    tenant = changes.Tenant(client.sdk(api.url, patience_s=stock.PATIENCE_S))
    return stock.Stock(tenant, central, show, cloud.COMPUTE)


def _summary(show: screen.Screen, result: compare.Comparison, spent_s: float) -> int:
    for difference in result.differences:
        show.say(f"  differs: {difference}")
    show.say(
        f"{result.fields} fields compared, {len(result.differences)} differences; "
        f"every workflow has ended; {spent_s:.0f} s."
    )
    return 1 if result.differences else 0


if __name__ == "__main__":
    sys.exit(main())
