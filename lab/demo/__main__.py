# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``make demo``: start everything, tell the story, compare, clean up.

Exit status: 0 if every workflow ended and OVN holds what Neutron says, 1 otherwise.
"""

import argparse
import contextlib
import signal
import sys
import time
import typing

from lab import client, neutron, ovn, processes
from lab.databases import pool
from lab.demo import changes, compare, screen, story
from lab.neutron import schema

_PROFILE_RULES = ("create_port:binding:profile", "update_port:binding:profile")

#: The compute host that bound ports are on.
COMPUTE = "compute-1"


def main() -> int:
    """Run the demonstration; return the exit status."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--db", choices=("sqlite", "mariadb"), default="sqlite")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    show = screen.Screen()
    begun = time.monotonic()
    try:
        with contextlib.ExitStack() as stack:
            result = _run(arguments.db, show, stack)
    except KeyboardInterrupt:
        show.say("Interrupted; everything that was started has been stopped.")
        return 130
    except (story.StoryFailed, processes.LabError) as failure:
        show.say(f"The demonstration failed: {failure}")
        return 1
    return _summary(show, result, time.monotonic() - begun)


def _interrupt(_signal: int, _frame: object) -> typing.NoReturn:
    raise KeyboardInterrupt


def _run(kind: str, show: screen.Screen, stack: contextlib.ExitStack) -> compare.Comparison:
    show.say(f"Starting OVN, Neutron's schema on {kind}, and neutron-api with its conductor...")
    pools = pool.Pool()
    stack.callback(pools.close)
    database = pools.create(kind, "demo")
    schema.create(database)
    central = stack.enter_context(ovn.OvnCentral())
    central.add_chassis("chassis-1", COMPUTE)
    profile = neutron.Profile(
        database_url=database.url,
        core_plugin="ml2_workflow",
        mechanism_drivers=("ovn",),
        ovn=central,
        workflow={"conductor": "embedded"},
        # Without a Keystone there is no service user; an administrator says what Nova would say.
        policy=dict.fromkeys(_PROFILE_RULES, "rule:context_is_admin"),
    )
    deployment = stack.enter_context(neutron.Deployment(profile))
    api = stack.enter_context(neutron.NeutronApi(deployment))
    show.say(f"neutron-api answers at {api.url}; its log is {api.log_path} while this runs.")
    tenant = changes.Tenant(client.sdk(api.url))
    told = story.Story(tenant, central, show, COMPUTE)
    result = told.tell()
    show.say(f"{len(tenant.changes)} changes were made through the API.")
    return result


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
