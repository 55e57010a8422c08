# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""``neutron-workflow-status check``: whether a cloud is ready to go over to workflows, or back.

Takes the same configuration files as neutron-api, and should be run on each of its hosts. Loads no
plugin, calls no backend and writes nothing. Ends as OpenStack's other status commands do: 0, ready;
1, with warnings; 2, not ready; 255, it could not look.
"""

import argparse
import collections.abc
import datetime
import json
import sys
import typing

import neutron  # noqa: F401 - first: it chooses oslo.service's threads before anything else can
import sqlalchemy as sa
from neutron import server
from neutron.common import config
from neutron.conf.plugins.ml2 import config as ml2_config
from neutron.conf.plugins.ml2.drivers.ovn import ovn_conf
from neutron.conf.services import provider_configuration
from neutron_lib.plugins import constants
from oslo_config import cfg
from oslo_upgradecheck import upgradecheck

from networking_workflow import releases
from networking_workflow.capture import refusals
from networking_workflow.cmd import assembly
from networking_workflow.cmd.readiness import Answer, Direction, Facts, answers
from networking_workflow.conf import drivers as conf_drivers
from networking_workflow.conf import workflow as conf_workflow
from networking_workflow.drivers.ovn import modes as ovn_modes
from networking_workflow.journal import clock, lanes, readiness, schema
from networking_workflow.model import errors
from networking_workflow.model.modes import Mode

PROGRAM = "neutron-workflow-status"

#: As oslo.upgradecheck ends when a check cannot be made.
NOT_LOOKED = 255

_SUCCESS, _, _FAILURE = upgradecheck.Code


def main(arguments: typing.Sequence[str] | None = None) -> int:
    """Do what the arguments say and return the exit status."""
    try:
        _read_configuration(sys.argv[1:] if arguments is None else list(arguments))
    except (cfg.Error, RuntimeError) as error:
        sys.stderr.write(f"{PROGRAM}: {' '.join(str(error).split())}\n")
        return NOT_LOOKED
    return int(upgradecheck.run(cfg.CONF))


def _check() -> upgradecheck.Code:
    """Make the checks, print what they say and return the worst of them."""
    command = cfg.CONF.command
    direction = Direction.BACK if command.back else Direction.OVER
    found = [*_of_files(direction), *_of_database(direction, command.within)]
    sys.stdout.write(_as_json(found) if command.json else _as_text(found))
    return max(answer.code for answer in found)


def _read_configuration(arguments: list[str]) -> None:
    """Read the files that neutron-api would read; what they say is not checked yet."""
    config.register_common_config_options()
    conf_workflow.register_opts(cfg.CONF)
    ml2_config.register_ml2_plugin_opts()
    ovn_conf.register_opts()
    provider_configuration.register_service_provider_opts()
    cfg.CONF.register_cli_opt(cfg.SubCommandOpt("command", handler=_add_commands))
    config.init(arguments, default_config_files=server._get_config_files(), prog=PROGRAM)


def _add_commands(commands: typing.Any) -> None:
    check: argparse.ArgumentParser = commands.add_parser(
        "check",
        help="Say whether this cloud is ready for core_plugin = ml2_workflow, or, where it runs, "
        "whether all is well.",
    )
    check.set_defaults(action_fn=_check)
    check.add_argument(
        "--back",
        action="store_true",
        help="Say instead whether it may go back to core_plugin = ml2: nothing is queued or FAILED "
        "(default: no).",
    )
    check.add_argument(
        "--within",
        metavar="<minutes>",
        type=_minutes,
        default=10,
        help="Look for resources that somebody made without a workflow in the last so many "
        "minutes, and not before the first conductor that is alive was started (default: "
        "%(default)s).",
    )
    check.add_argument(
        "--json",
        action="store_true",
        help="Print one JSON document, as oslo.upgradecheck does (default: text).",
    )


def _minutes(text: str) -> int:
    """Return whole minutes, at least one and at most a year."""
    minutes = int(text)
    if not 1 <= minutes <= 366 * 24 * 60:
        raise ValueError(text)
    return minutes


def _of_files(direction: Direction) -> list[Answer]:
    """Return what this host's configuration says; on the way back it says nothing that counts."""
    if direction is Direction.BACK:
        return []
    return [
        _tried("Plugins and drivers", _check_plugins, "All that is configured is covered."),
        _tried("Router providers", _check_providers, "OVN is the only one."),
        _tried("Options", _check_options, "[workflow] and [ovn] can be used."),
    ]


def _check_plugins() -> None:
    releases.check()
    refusals.refuse_uncovered(
        service_plugins=cfg.CONF.service_plugins,
        extension_drivers=cfg.CONF.ml2.extension_drivers,
        mechanism_drivers=cfg.CONF.ml2.mechanism_drivers,
    )


def _check_providers() -> None:
    refusals.refuse_router_providers(
        line.split(":")[1]
        for line in cfg.CONF.service_providers.service_provider
        if line.startswith(f"{constants.L3}:")
    )


def _check_options() -> None:
    conf_workflow.check(cfg.CONF)
    conf_drivers.limits(cfg.CONF, cfg.CONF.ml2.mechanism_drivers)
    conf_workflow.placed_drivers(cfg.CONF)
    conf_workflow.deferred_binding(cfg.CONF)
    if "ovn" in cfg.CONF.ml2.mechanism_drivers:
        shadow = conf_workflow.mode(cfg.CONF) is Mode.SHADOW
        (ovn_modes.check_is_known if shadow else ovn_modes.check)()


def _of_database(direction: Direction, within_minutes: int) -> list[Answer]:
    """Return what the database says; of one that does not answer or has no journal only that."""
    try:
        engine = assembly.database(cfg.CONF, workers=0)
        assembly.check_database(engine)
        with engine.connect() as connection:
            found = [_schema(connection), *_lanes(direction, connection)]
            facts = _facts(connection, within_minutes)
    except errors.ConfigurationError as error:
        return [Answer(check="Database", code=_FAILURE, details=f"{error}")]
    except sa.exc.SQLAlchemyError as error:
        words = f"The database refuses a question: {getattr(error, 'orig', None) or error}"
        return [Answer(check="Database", code=_FAILURE, details=words.partition("\n")[0])]
    engine.dispose()
    return [*found, *answers(direction, facts)]


def _lanes(direction: Direction, connection: sa.Connection) -> list[Answer]:
    """Return whether the drivers may be in the lanes that the configuration has them in."""
    if direction is Direction.BACK:
        return []
    try:
        why_not = lanes.refusal(connection, conf_workflow.placed_drivers(cfg.CONF))
    except errors.ConfigurationError:
        return []  # said of the options
    if why_not is None:
        return [Answer(check="Lanes", code=_SUCCESS, details="The drivers' lanes can be used.")]
    return [Answer(check="Lanes", code=_FAILURE, details=why_not)]


def _schema(connection: sa.Connection) -> Answer:
    found, heads = schema.revisions(connection), schema.heads()
    if found == heads:
        details = f"The journal's tables are at {', '.join(sorted(heads))}."
        return Answer(check="Database", code=_SUCCESS, details=details)
    return Answer(
        check="Database",
        code=_FAILURE,
        details=f"The journal's tables are at {', '.join(sorted(found)) or 'no revision'}, those "
        f"of this release at {', '.join(sorted(heads))}: run neutron-db-manage --subproject "
        "networking-workflow upgrade heads",
    )


def _facts(connection: sa.Connection, within_minutes: int) -> Facts:
    before = clock.local()
    now = readiness.time(connection)
    host_time = before + (clock.local() - before) / 2
    alive = readiness.conductors(connection)
    since = max(now - datetime.timedelta(minutes=within_minutes), alive.since or now)
    return Facts(
        core_plugin=cfg.CONF.core_plugin or "",
        separate=_is_separate(),
        conductors=alive,
        backlog=readiness.backlog(connection),
        apart=readiness.apart(connection),
        unrecorded=readiness.unrecorded(connection, since),
        since=since,
        clock_s=(host_time - now).total_seconds(),
        mode=_mode(),
    )


def _mode() -> Mode:
    try:
        return conf_workflow.mode(cfg.CONF)
    except (ValueError, cfg.Error):  # which the check of the options has said
        return Mode.DRIVE


def _is_separate() -> bool:
    try:
        return bool(cfg.CONF[conf_workflow.GROUP].conductor == conf_workflow.SEPARATE)
    except (ValueError, cfg.Error):  # which the check of the options has said
        return False


def _tried(check: str, look: collections.abc.Callable[[], None], well: str) -> Answer:
    try:
        look()
    except errors.ConfigurationError as error:
        return Answer(check=check, code=_FAILURE, details=f"{error}")
    return Answer(check=check, code=_SUCCESS, details=well)


def _as_text(found: collections.abc.Iterable[Answer]) -> str:
    return "\n".join(
        f"Check: {answer.check}\n"
        f"Result: {upgradecheck.UPGRADE_CHECK_MSG_MAP[answer.code]}\n"
        f"Details: {answer.details}\n"
        for answer in found
    )


def _as_json(found: collections.abc.Iterable[Answer]) -> str:
    checks = [
        {"check": answer.check, "result": answer.code, "details": answer.details}
        for answer in found
    ]
    return json.dumps({"name": "Upgrade Check Results", "checks": checks}) + "\n"


if __name__ == "__main__":
    sys.exit(main())
