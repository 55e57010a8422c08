# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The groups [workflow_driver:<alias>]: limits of one mechanism driver, beside those of [workflow].

There is a group for each driver that has limits of its own. Which there are is known when the files
have been read, so they are registered then.
"""

import typing

from oslo_config import cfg

from networking_workflow.conductor import settings
from networking_workflow.conf import workflow
from networking_workflow.model import errors, retry
from networking_workflow.model.modes import Mode

PREFIX = "workflow_driver:"

#: What a group is called in documents.
GROUP = f"{PREFIX}<driver>"

OPTIONS: tuple[cfg.Opt, ...] = (
    cfg.FloatOpt(
        "timeout_s",
        default=0.0,
        min=0.0,
        max=86400.0,
        help="Seconds that one call of the driver may take, all its hooks and reads included; 0: "
        "as long as it takes. A call cannot be broken off: one that takes longer goes on, its "
        "workflow keeps its keys, its task and the resource's sync_error say so, and another "
        "thread works instead of the one that is stuck. How the call ends counts, whenever it "
        "does.",
    ),
    cfg.IntOpt(
        "attempts",
        min=1,
        max=1000,
        help="How often a workflow is tried whose end this driver's errors decide; unset: as often "
        "as [workflow] attempts says.",
    ),
    cfg.FloatOpt(
        "first_delay_s",
        min=0.0,
        max=3600.0,
        help="Seconds before the second attempt, doubled for each further one; unset: [workflow] "
        "first_delay_s.",
    ),
    cfg.FloatOpt(
        "max_delay_s",
        min=0.1,
        max=86400.0,
        help="Longest delay between two attempts, in seconds; unset: [workflow] max_delay_s. At "
        "least first_delay_s.",
    ),
    cfg.IntOpt(
        "concurrency",
        default=0,
        min=0,
        max=64,
        help="Calls of the driver at a time in one conductor; 0: as many as it has workers. "
        "Workflows beyond that wait without a worker and spend no attempt. Below [workflow] "
        "workers, the driver never has all of them, however slow it is.",
    ),
)


def limits(conf: cfg.ConfigOpts, drivers: typing.Iterable[str]) -> dict[str, settings.DriverLimits]:
    """Return the limits of each of the configured mechanism drivers, by name.

    :raises ConfigurationError: one line that says what is wrong and what to do: a group of a driver
        that is not configured, an option that there is not, a value that is not allowed.
    """
    names = [name for name in drivers if name]
    _refuse_others(conf, names)
    return {name: _limits(conf, name) for name in names}


def _refuse_others(conf: cfg.ConfigOpts, drivers: typing.Sequence[str]) -> None:
    # As oslo.config, which does not tell upper from lower case here.
    known = {f"{PREFIX}{name}".lower() for name in drivers}
    for group, place in workflow.groups(conf):
        name = group.lower()
        if name.startswith(PREFIX.rstrip(":")) and name not in known:
            raise errors.ConfigurationError(
                f"{place}: [{group}]: there is no such driver in [ml2] mechanism_drivers; the "
                f"groups are {', '.join(f'[{PREFIX}{each}]' for each in drivers)}."
            )


def _limits(conf: cfg.ConfigOpts, driver: str) -> settings.DriverLimits:
    name = f"{PREFIX}{driver}"
    conf.register_opts(OPTIONS, group=name)
    workflow.check_group(conf, name, OPTIONS)
    own, common = conf[name], conf[workflow.GROUP]

    def either(option: str) -> typing.Any:
        return common[option] if own[option] is None else own[option]

    policy = retry.RetryPolicy(
        attempts=either("attempts"),
        first_delay_s=either("first_delay_s"),
        max_delay_s=either("max_delay_s"),
    )
    if policy.max_delay_s < policy.first_delay_s:
        raise errors.ConfigurationError(
            f"[{name}] max_delay_s = {policy.max_delay_s:g} is below first_delay_s = "
            f"{policy.first_delay_s:g}: it must be at least that many seconds. What is not set "
            f"there is that of [{workflow.GROUP}]."
        )
    if workflow.mode(conf) is Mode.SHADOW:
        policy = workflow.retry_policy(common)  # nobody is called: a comparison looks again
    return settings.DriverLimits(
        retry=policy, timeout_s=own.timeout_s or None, concurrency=own.concurrency or None
    )
