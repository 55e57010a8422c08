# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What is logged: columns of ACLs, ACLs of their own, and the meters that bound how much.

What an event means is said in ``neutron/services/logapi/drivers/ovn/driver.py``. ACCEPT and ALL:
the ACLs of the rules. DROP and ALL of a log object for everything: the ACLs of the drop group; of
one for a group, or for the groups of a port: two ACLs of the group itself, just above the drop
group's, so that what is written names that log object.

An ACL names one log object. Of several that ask for it any will do, so that none that is there is
changed; where none is, the oldest is written. An ACL that no enabled log object asks for says
nothing; stock leaves the name of a disabled one on it.
"""

import typing

from neutron.common.ovn import constants as ovn_const
from neutron.common.ovn import utils as ovn_utils
from neutron_lib.services.logapi import constants as log_const

from networking_workflow.drivers.ovn import compare, facts_logs, settings

DROP_GROUP = ovn_const.OVN_DROP_PORT_GROUP_NAME
PRIORITY = 1001  #: of the ACLs that log what a group drops
DROP_PRIORITY = 1000
SEVERITY = "info"
METER = "Meter"

#: Columns that log objects decide on; ``label`` and ``options`` are left out for the ACLs with
#: :data:`PRIORITY`, to which stock gives them by some of its ways and not by others.
COLUMNS = frozenset({"log", "name", "meter", "severity", "label", "options"})

_RELATED = "log-related"
_PORTS = {"from-lport": "inport", "to-lport": "outport"}
_SILENT: dict[str, typing.Any] = {"log": False, "name": "", "meter": "", "severity": ""}

Rows = tuple[compare.Row, ...]


def log_name(log_id: str) -> str:
    """Return what an ACL calls a log object."""
    return str(ovn_utils.ovn_name(log_id))


def rule_columns(
    logs: facts_logs.Logs, group_id: str, stateful: bool, options: settings.OvnSettings
) -> dict[str, typing.Any]:
    """Return the logging columns of the ACL of a group's rule."""
    asking = [
        log
        for log in logs.enabled
        if log.event != "DROP" and (log.groups is None or group_id in log.groups)
    ]
    return _columns(asking, _meter(stateful, options))


def group_rows(
    logs: facts_logs.Logs,
    group_id: str,
    stateful: bool,
    rules: typing.Iterable[str],
    options: settings.OvnSettings,
) -> Rows:
    """Return the ACLs of a group that may log; ``rules``: names of those of its rules in OVN."""
    columns = rule_columns(logs, group_id, stateful, options)
    of_rules = tuple(
        compare.Row(table="ACL", name=name, columns=columns, optional=True) for name in rules
    )
    return of_rules + drop_rows(logs, group_id, stateful, options)


def drop_rows(
    logs: facts_logs.Logs, group_id: str, stateful: bool, options: settings.OvnSettings
) -> Rows:
    """Return the ACLs that log what a group drops, or that they must not be there."""
    asking = [
        log for log in logs.enabled if log.event != "ACCEPT" and group_id in (log.groups or ())
    ]
    group = str(ovn_utils.ovn_port_group_name(group_id))
    # Stock makes them with the meter of stateful groups, and changes it with the group's next rule.
    meters = {_meter(True, options), _meter(stateful, options)}
    one_of = compare.OneOf(frozenset(meters), preferred=options.log_meter)
    columns = {name: value for name, value in _columns(asking, one_of).items() if name in _SILENT}
    return tuple(
        compare.Row(
            table="ACL",
            name=_drop_name(group, direction, PRIORITY),
            columns={"action": "drop", "copies": 1, **columns},
            absent=not asking,
        )
        for direction in _PORTS
    )


def drop_group_rows(logs: facts_logs.Logs, options: settings.OvnSettings) -> Rows:
    """Return the ACLs of the drop group, where it is: whoever needs it makes it."""
    asking = [log for log in logs.enabled if log.event != "ACCEPT" and log.groups is None]
    columns = _columns(asking, options.log_meter)
    return tuple(
        compare.Row(
            table="ACL",
            name=_drop_name(DROP_GROUP, direction, DROP_PRIORITY),
            columns=columns,
            optional=True,
        )
        for direction in _PORTS
    )


def meter_rows(logs: facts_logs.Logs, options: settings.OvnSettings) -> Rows:
    """Return the two meters: there with the first enabled log object, gone with the last at all."""
    if logs.all and not logs.enabled:
        return ()
    return tuple(
        compare.Row(
            table=METER,
            name=_meter(stateful, options),
            columns={
                "unit": "pktps",
                "fair": True,
                # The kernel limits stateless traffic otherwise: bug 2212952 in ovn_client.py.
                "rate": options.log_rate // (1 if stateful else 2),
                "burst_size": options.log_burst // (1 if stateful else 2),
                "external_ids": compare.Keys(
                    wanted={ovn_const.OVN_DEVICE_OWNER_EXT_ID_KEY: log_const.LOGGING_PLUGIN}
                ),
            },
            absent=not logs.enabled,
        )
        for stateful in (True, False)
    )


def _meter(stateful: bool, options: settings.OvnSettings) -> str:
    return options.log_meter if stateful else f"{options.log_meter}_stateless"


def _drop_name(group: str, direction: str, priority: int) -> str:
    return f"{group} {direction} {priority} {_PORTS[direction]} == @{group} && ip"


def _columns(asking: typing.Sequence[facts_logs.Log], meter: typing.Any) -> dict[str, typing.Any]:
    if not asking:
        none = compare.Keys(wanted={}, unwanted=frozenset({_RELATED}))
        return {**_SILENT, "label": 0, "options": none}
    names = [log_name(log.id) for log in asking]
    return {
        "log": True,
        "name": compare.OneOf(frozenset(names), preferred=names[0]),
        "meter": meter,
        "severity": SEVERITY,
        "label": compare.NotZero(),
        "options": compare.Keys(wanted={_RELATED: "true"}),
    }
