# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Log objects of a Neutron, and what OVN logs for them, read with ``ovn-nbctl`` alone."""

import typing

from tests.functional.capture import inprocess
from tests.functional.ovn import cloud, northbound

Made = dict[str, typing.Any]

_ACL = ("action", "direction", "match", "priority", "log", "meter", "name", "options", "severity")


def create(neutron: inprocess.Neutron, **values: typing.Any) -> Made:
    """Make a log object, and return what the API answers."""
    body = {"project_id": inprocess.PROJECT, "resource_type": "security_group", **values}
    made: Made = neutron.call("POST", "log/logs", {"log": body})["log"]
    return made


def make(neutron: inprocess.Neutron, **values: typing.Any) -> str:
    """Make a log object, and return its id."""
    return str(create(neutron, **values)["id"])


def enable(neutron: cloud.Neutron, log: str, enabled: bool) -> None:
    neutron.call("PUT", f"log/logs/{log}", {"log": {"enabled": enabled}})


def remove(neutron: cloud.Neutron, log: str) -> None:
    neutron.call("DELETE", f"log/logs/{log}")


def rule(neutron: cloud.Neutron, group: str, port: int) -> str:
    """Make a rule for a TCP port, and return its id."""
    tcp = {"protocol": "tcp", "port_range_min": port, "port_range_max": port}
    made = neutron.create(
        "security_group_rule", security_group_id=group, direction="ingress", **tcp
    )
    return str(made["id"])


def rows(neutron: cloud.Neutron) -> list[Made]:
    """Return every ACL and meter, sorted; of a label only whether there is one, for it is random.

    Nothing of the labels of those ACLs that exist in order to log.
    """
    found = northbound.rows(neutron.ovn, ("ACL", "Meter", "Meter_Band"))
    acls = [
        {
            **{column: one[column] for column in _ACL},
            "label": one["priority"] != 1001 and one["label"] != 0,
        }
        for one in found["ACL"]
    ]
    for one in acls:
        if one["priority"] == 1001:
            del one["options"]
    bands = {one["_uuid"]: (one["rate"], one["burst_size"]) for one in found["Meter_Band"]}
    meters = [
        {
            **{column: one[column] for column in ("name", "unit", "fair", "external_ids")},
            "band": bands[one["bands"]],
        }
        for one in found["Meter"]
    ]
    return sorted(acls + meters, key=str)


def names(neutron: cloud.Neutron, group: str, priority: int = 1002) -> list[typing.Any]:
    """Return what each ACL of a group with this priority is called, "" where it does not log."""
    name = group if group.startswith("neutron") else f"pg_{group}".replace("-", "_")
    found = northbound.rows(neutron.ovn, ("Port_Group", "ACL"))
    (port_group,) = [one for one in found["Port_Group"] if one["name"] == name]
    acls = port_group["acls"] if isinstance(port_group["acls"], list) else [port_group["acls"]]
    return sorted(
        one["name"].removeprefix("neutron-") if one["log"] else ""
        for one in found["ACL"]
        if one["_uuid"] in acls and one["priority"] == priority
    )
