# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The group [workflow]: every option with its unit, limits and effect, and one-line errors."""

import collections.abc
import os
import pathlib
import typing

from oslo_config import cfg

from networking_workflow.conductor import settings
from networking_workflow.model import errors, graph, retry
from networking_workflow.model.modes import Mode
from networking_workflow.model.status import StatusMode

GROUP = "workflow"

EMBEDDED = "embedded"
SEPARATE = "separate"

#: In the mode ``shadow``: how often a difference is looked at, while stock's call may be under way:
#: for 8 to 16 seconds in all.
_LOOKS = retry.RetryPolicy(attempts=6, first_delay_s=0.5, max_delay_s=8.0)

OPTIONS: tuple[cfg.Opt, ...] = (
    cfg.StrOpt(
        "mode",
        default=Mode.DRIVE.value,
        choices=[
            (Mode.DRIVE.value, "conductors make the backends follow, after the call"),
            (Mode.SHADOW.value, "stock ML2 does, in the call; conductors only compare"),
        ],
        help="Who makes the backends follow. With 'shadow' every driver is called as stock ML2 "
        "calls it, workflows only compare what the backend then holds, and what differs is FAILED "
        "and DRIFTED (see adopt.md); attempts, first_delay_s and max_delay_s mean nothing then: a "
        "difference is looked at 6 times within 8 to 16 seconds. The same for all processes: "
        "stop all, then start all.",
    ),
    cfg.StrOpt(
        "conductor",
        default=EMBEDDED,
        choices=[
            (EMBEDDED, "as threads of each worker of neutron-api, which share the work"),
            (SEPARATE, "in neutron-workflow-conductor processes of their own"),
        ],
        help="Where workflows run. With 'separate' the API only records them: start at least one "
        "neutron-workflow-conductor, or every change stays PENDING.",
    ),
    cfg.IntOpt(
        "workers",
        default=4,
        min=1,
        max=64,
        help="Threads per conductor that run workflows. A thread spends most of its time in "
        "Neutron's own Python code, so 2 to 4 fill a processor core; for more, start more "
        "conductors. Each thread may use one database connection more.",
    ),
    cfg.ListOpt(
        "driver_graph",
        default=[],
        help="How the mechanism drivers depend on each other: a comma-separated list of "
        "'<driver> after <driver> [<driver> ...]' and '<driver> independent'. By default all are "
        "called one after the other, in the order of [ml2] mechanism_drivers, for each change. One "
        "that is 'after' others is called only when they have done their part. One that is "
        "'independent' has workflows and an order of its own: a backend that is away holds up "
        "nothing in the others. The same in every process of a cloud; a change of it is refused "
        "while workflows that it concerns are unfinished.",
    ),
    cfg.ListOpt(
        "deferred_binding",
        default=[],
        help="Mechanism drivers, a comma-separated list of their names in [ml2] mechanism_drivers, "
        "whose bind_port talks to hardware and is slow. No API call waits for it: a port that one "
        "of them would bind is answered unbound and PENDING, and a task binds it. The same in "
        "every process of a cloud (see binding.md).",
    ),
    cfg.FloatOpt(
        "lease_s",
        default=30.0,
        min=3.0,
        max=3600.0,
        help="Seconds without a sign of life after which other conductors take over what a "
        "conductor was running. Renewed three times as often. Lower: faster take-over after a "
        "crash; higher: longer pauses of a conductor do no harm.",
    ),
    cfg.FloatOpt(
        "poll_s",
        default=1.0,
        min=0.5,
        max=60.0,
        help="Seconds between two looks of an idle conductor for work that no wake-up hint "
        "announced, varied at random between three quarters and all of it: one cheap statement "
        "each, and another one where a driver has concurrency or timeout_s of its own, for what "
        "other conductors have no room for. The longest delay when hints are lost, not the usual "
        "one.",
    ),
    cfg.IntOpt(
        "attempts",
        default=8,
        min=1,
        max=1000,
        help="How often a workflow is tried, the first time included, before it is FAILED and "
        "waits for an operator or a later change of the resource. A backend that cannot be reached "
        "at all spends no attempt.",
    ),
    cfg.FloatOpt(
        "first_delay_s",
        default=1.0,
        min=0.0,
        max=3600.0,
        help="Seconds before the second attempt; each further delay is twice the one before, and "
        "varied at random between half and all of it.",
    ),
    cfg.FloatOpt(
        "max_delay_s",
        default=300.0,
        min=0.1,
        max=86400.0,
        help="Longest delay between two attempts, in seconds. At least first_delay_s.",
    ),
    cfg.FloatOpt(
        "chores_s",
        default=20.0,
        min=1.0,
        max=3600.0,
        help="Seconds between two rounds of a conductor's chores (taking over what a lost "
        "conductor ran, waking what was left waiting); varied at random between three quarters and "
        "all of it.",
    ),
    cfg.FloatOpt(
        "probe_s",
        default=2.0,
        min=0.5,
        max=600.0,
        help="Seconds between two attempts to reach a backend that could not be reached; varied "
        "at random between three quarters and all of it. Its workflows go on at the first success.",
    ),
    cfg.FloatOpt(
        "max_wait_s",
        default=60.0,
        min=0.0,
        max=3600.0,
        help="Seconds that a call with 'Prefer: wait=...' waits at most for the backends, whatever "
        "it asks for. Keep it below the time-outs of proxies before the API.",
    ),
    cfg.IntOpt(
        "max_waiters",
        default=4,
        min=0,
        max=10000,
        help="Calls of one API process that may wait at a time; each keeps a thread of its server "
        "(never a database connection). Further ones get the asynchronous answer, which says so. "
        "Keep it below the server's threads: half of them leaves others room.",
    ),
    cfg.StrOpt(
        "status_mode",
        default=StatusMode.SEPARATE.value,
        choices=[
            (StatusMode.SEPARATE.value, "as Neutron has it; sync_state beside it says the rest"),
            (StatusMode.EXTENDED.value, "BUILD or ERROR where sync_state is PENDING or ERROR"),
        ],
        help="What 'status' of networks, ports, routers, floating IPs and trunks says in the API's "
        "answers. With 'extended' unfinished backend work reads BUILD and failed work ERROR, also "
        "to filters and sorting. Callers with the role 'service' always get Neutron's own status: "
        "give it to Nova's user first (see status.md).",
    ),
    cfg.IntOpt(
        "keep_finished_days",
        default=14,
        min=1,
        max=36500,
        help="Days that ended workflows and their tasks stay readable; a conductor then deletes "
        "them in small batches.",
    ),
    cfg.IntOpt(
        "keep_failed_days",
        default=90,
        min=1,
        max=36500,
        help="Days that FAILED workflows and their tasks stay, for an operator to retry. A "
        "resource that shows ERROR goes on doing so. At least keep_finished_days.",
    ),
    cfg.IntOpt(
        "ovsdb_timeout_s",
        default=10,
        min=1,
        max=600,
        help="Seconds that a conductor waits for one OVN database transaction: half of them for "
        "its turn, half for the answer. Then the connection is dropped, and the workflow goes on "
        "when the database answers again. It takes the place "
        "of [ovn] ovsdb_connection_timeout in conductors, whose default holds a thread up for "
        "minutes.",
    ),
    cfg.StrOpt(
        "wakeup_dir",
        default="$state_path/workflow",
        help="Folder for the sockets through which API processes wake the conductors of the same "
        "host (one datagram after a commit). All of them need to write to it; a path of at most 69 "
        "bytes. The hint only saves time: without it conductors find work within poll_s. Empty: "
        "only an embedded conductor gets hints.",
    ),
    cfg.FloatOpt(
        "drain_s",
        default=20.0,
        min=0.0,
        max=3600.0,
        help="Seconds that a conductor which is told to stop lets running workflows finish; what "
        "still runs then is handed back, and another conductor does it. Keep it below the time "
        "after which your service manager kills.",
    ),
)


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register the group; a second time changes nothing."""
    conf.register_opts(OPTIONS, group=GROUP)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """Return the options as oslo-config-generator wants them."""
    return [(GROUP, list(OPTIONS))]


def check(conf: cfg.ConfigOpts) -> None:
    """Read every option once.

    :raises ConfigurationError: one line with the option, its value, where it is written and what
        is allowed; also for an option name that does not exist, which oslo.config would ignore.
    """
    check_group(conf, GROUP, OPTIONS)
    group = conf[GROUP]
    if group.max_delay_s < group.first_delay_s:
        raise errors.ConfigurationError(
            f"[{GROUP}] max_delay_s = {group.max_delay_s:g} is below first_delay_s = "
            f"{group.first_delay_s:g}: it must be at least that many seconds."
        )
    if group.keep_failed_days < group.keep_finished_days:
        raise errors.ConfigurationError(
            f"[{GROUP}] keep_failed_days = {group.keep_failed_days} is below keep_finished_days = "
            f"{group.keep_finished_days}: it must be at least that many days."
        )


def check_group(
    conf: cfg.ConfigOpts, group: str, options: collections.abc.Sequence[cfg.Opt]
) -> None:
    """Read every option of a group once.

    :raises ConfigurationError: as :func:`check`.
    """
    written = _written(conf, group, options)
    known = {option.name: option for option in options}
    for name, (value, place) in written.items():
        if name not in known:
            raise errors.ConfigurationError(
                f"{place}: [{group}] {name} = {value}: there is no such option; "
                f"the group has {', '.join(known)}."
            )
    for name, option in known.items():
        try:
            getattr(conf[group], option.dest)
        except (ValueError, cfg.Error) as error:
            value, place = written.get(name, (str(option.default), "default"))
            raise errors.ConfigurationError(
                f"{place}: [{group}] {name} = {value}: it must be {allowed(option)}."
            ) from error


def groups(conf: cfg.ConfigOpts) -> collections.abc.Iterator[tuple[str, str]]:
    """Yield name and place of each group that is written in a file, in any of them."""
    for path in _files(conf):
        for section in _sections(path):
            yield section, str(path)


def _written(
    conf: cfg.ConfigOpts, group: str, options: collections.abc.Sequence[cfg.Opt]
) -> dict[str, tuple[str, str]]:
    """Return ``{option: (value as written, place)}`` of a group, the place that counts last."""
    written: dict[str, tuple[str, str]] = {}
    for path in _files(conf):
        for section, assignments in _sections(path).items():
            if section.lower() == group.lower():
                written |= {name: (values[-1], str(path)) for name, values in assignments.items()}
    for option in options:
        variable = f"OS_{group}__{option.name}".upper()
        if variable in os.environ:
            written[option.name] = (os.environ[variable], f"environment {variable}")
    return written


def _sections(path: pathlib.Path) -> dict[str, dict[str, list[str]]]:
    """Return the groups of a file: of each option its values, the one that counts last."""
    sections: dict[str, dict[str, list[str]]] = {}
    cfg.ConfigParser(str(path), sections).parse()
    return sections


def _files(conf: cfg.ConfigOpts) -> collections.abc.Iterator[pathlib.Path]:
    """Yield the files that were read, in the order in which later ones win."""
    for name in conf.config_file or ():
        yield pathlib.Path(name)
    for folder in conf.config_dirs:
        yield from sorted(pathlib.Path(folder).glob("*.conf"))


def allowed(option: cfg.Opt) -> str:
    """Say in words which values an option takes."""
    choices = getattr(option.type, "choices", None)
    if choices:
        return "one of " + ", ".join(choices)
    kinds: dict[type[typing.Any], str] = {
        cfg.IntOpt: "a whole number",
        cfg.FloatOpt: "a number",
        cfg.ListOpt: "a list, separated by commas",
    }
    kind = kinds.get(type(option), "a text")
    if option.type.__class__.__name__ in {"Integer", "Float"}:
        unit = " of seconds" if option.name.endswith("_s") else ""
        return f"{kind}{unit} from {option.type.min:g} to {option.type.max:g}"
    return kind


def driver_graph(conf: cfg.ConfigOpts, drivers: typing.Sequence[str]) -> graph.DriverGraph:
    """Return the graph of these drivers, given in their order.

    :raises ConfigurationError: if it is not one.
    """
    return graph.parse(conf[GROUP].driver_graph, drivers)


def placed_drivers(conf: cfg.ConfigOpts) -> dict[str, str]:
    """Return the lane of each configured mechanism driver.

    :raises ConfigurationError: as :func:`driver_graph`.
    """
    return driver_graph(conf, [name for name in conf.ml2.mechanism_drivers if name]).placed


def deferred_binding(conf: cfg.ConfigOpts) -> frozenset[str]:
    """Return the mechanism drivers that no API call asks to bind; stock ML2 asks all itself.

    :raises ConfigurationError: if one of them is not configured.
    """
    drivers = [name for name in conf.ml2.mechanism_drivers if name]
    named = conf[GROUP].deferred_binding
    unknown = [name for name in named if name not in drivers]
    if unknown:
        raise errors.ConfigurationError(
            f"[{GROUP}] deferred_binding = {','.join(named)}: {', '.join(unknown)} is not among "
            f"[ml2] mechanism_drivers = {','.join(drivers)}. Correct the name, or add the driver "
            "there."
        )
    return frozenset() if mode(conf) is Mode.SHADOW else frozenset(named)


def mode(conf: cfg.ConfigOpts) -> Mode:
    """Return who makes the backends follow; the options have been checked."""
    return Mode(conf[GROUP].mode)


def retry_policy(group: typing.Any) -> retry.RetryPolicy:
    """Return how often workflows are tried; in shadow mode, how often they look."""
    if group.mode == Mode.SHADOW:
        return _LOOKS
    return retry.RetryPolicy(
        attempts=group.attempts,
        first_delay_s=group.first_delay_s,
        max_delay_s=group.max_delay_s,
    )


def conductor_settings(conf: cfg.ConfigOpts) -> settings.ConductorSettings:
    """Return what a conductor of this process is told.

    :raises ConfigurationError: as :func:`check`.
    """
    check(conf)
    group = conf[GROUP]
    try:
        return settings.ConductorSettings(
            host=conf.host,
            workers=group.workers,
            lease_s=group.lease_s,
            poll_s=group.poll_s,
            retry=retry_policy(group),
            drain_s=group.drain_s,
            chores_s=group.chores_s,
            probe_s=group.probe_s,
            keep_finished_s=group.keep_finished_days * settings.DAY_S,
            keep_failed_s=group.keep_failed_days * settings.DAY_S,
            wakeup_dir=group.wakeup_dir or None,
        )
    except ValueError as error:
        raise errors.ConfigurationError(f"[{GROUP}] {error}") from error
