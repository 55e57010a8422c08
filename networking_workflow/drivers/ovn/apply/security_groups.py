# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Security groups and their rules: port groups and ACLs.

A remote group or address group that OVN does not have yet is no missing reference: the match names
an address set, and chassis look at it again when the set appears. A port group may be deleted
while ports are in it: they keep the drop group, and no row of Neutron refers to the group any more.

What of the ACLs is logged is written with them, after log objects as they are then; how that goes
together with the workflows of those is said in ``apply.logs``.
"""

import collections.abc
import dataclasses
import typing

from neutron.common.ovn import constants as ovn_const
from neutron.extensions import securitygroup as sg_exc

from networking_workflow.drivers.ovn import compare, facts, facts_logs, observe
from networking_workflow.drivers.ovn.apply import logs
from networking_workflow.drivers.ovn.apply import work as apply_work
from networking_workflow.drivers.ovn.expect import logs as expect_logs
from networking_workflow.drivers.ovn.expect import security_groups as expect_groups
from networking_workflow.model import errors, states

_RULE_ID = ovn_const.OVN_SG_RULE_EXT_ID_KEY


def apply(work: apply_work.Work) -> None:
    """Make OVN hold the group with all of its rules."""
    known = facts.read_security_group(work.plugin, work.context, work.target.resource_id)
    group = known.group
    name = expect_groups.group_name(group["id"])

    def wanted() -> apply_work.Rows:
        return expect_groups.rows(logged(work, known), work.settings)

    def write(found: apply_work.Differences) -> None:
        rows = wanted()
        if observe.row(work.nb, "Port_Group", name) is None:
            work.client.create_security_group(work.context, group)
        else:
            _write_group(work, name, rows, found)
        logs.write(work, rows)

    apply_work.converge(work, wanted, write)
    work.bump_revision(group, ovn_const.TYPE_SECURITY_GROUPS)
    if work.target.operation is states.Operation.CREATE:
        # Rules that are made with their group have no workflows of their own.
        for rule in group["security_group_rules"]:
            work.bump_revision(rule, ovn_const.TYPE_SECURITY_GROUP_RULES)


def _write_group(
    work: apply_work.Work, name: str, wanted: apply_work.Rows, found: apply_work.Differences
) -> None:
    for one in apply_work.touched(found, "Port_Group"):
        column, _, key = one.column.partition(":")
        if key:
            work.nb.db_set("Port_Group", name, (column, {key: one.expected})).execute(
                check_error=True
            )
        else:
            _remove_acls(work, name, one.found - one.expected)
    _write_acls(work, wanted, found)


def apply_rule(work: apply_work.Work) -> None:
    """Make OVN hold the rule's ACL.

    :raises MissingReference: if OVN does not have the group; stock would wait 15 s for it.
    """
    known = facts.read_security_group_rule(work.plugin, work.context, work.target.resource_id)
    _apply_rule(work, known)


def _apply_rule(work: apply_work.Work, known: facts.SecurityGroupRule) -> None:
    name = expect_groups.group_name(known.group["id"])
    if observe.row(work.nb, "Port_Group", name) is None:
        raise errors.MissingReference(
            "security_group", known.group["id"], f"OVN does not have the port group {name}."
        )

    def wanted() -> apply_work.Rows:
        return expect_groups.rule_rows(logged(work, known), work.settings)

    def write(found: apply_work.Differences) -> None:
        rows = wanted()
        if any(one.missing for one in found):
            work.client.create_security_group_rule(work.context, known.rule)
        else:
            _write_acls(work, rows, found)
        logs.write(work, rows)

    apply_work.converge(work, wanted, write)
    work.bump_revision(known.rule, ovn_const.TYPE_SECURITY_GROUP_RULES)


def delete(work: apply_work.Work) -> None:
    """Make OVN forget the group, and stock's tools the rules that it had."""
    group_id = work.target.resource_id
    name = expect_groups.group_name(group_id)
    group = observe.row(work.nb, "Port_Group", name)
    if group is not None:
        work.nb.pg_del(name, if_exists=True).execute(check_error=True)
    deleted = (work.target.snapshot or {}).get("deleted") or {}
    for rule in deleted.get("security_group_rules") or ():
        work.forget_revision(rule["id"], ovn_const.TYPE_SECURITY_GROUP_RULES)
    work.forget_revision(group_id, ovn_const.TYPE_SECURITY_GROUPS)


def delete_rule(work: apply_work.Work) -> None:
    """Make OVN forget the rule's ACL, unless an equal rule of the group needs it."""
    left = left_of_rule(work)
    if left is not None:
        _remove_acls(work, left.group_name, left.acls)
        if left.twin is not None:
            _apply_rule(work, left.twin)
    work.forget_revision(work.target.resource_id, ovn_const.TYPE_SECURITY_GROUP_RULES)


class Left(typing.NamedTuple):
    """What a deleted rule leaves."""

    group_name: str
    acls: frozenset[str]  #: that must not be there
    twin: facts.SecurityGroupRule | None  #: an equal rule, whose ACL must


def left_of_rule(work: apply_work.Work) -> Left | None:
    """Return what the target, a rule that is gone, leaves; None: OVN does not have its group."""
    rule_id = work.target.resource_id
    rule = ((work.target.snapshot or {}).get("deleted")) or {}
    group = _group_of(work, rule_id, rule)
    if group is None:
        return None
    names = observe.acls_of_rules(group, frozenset({rule_id}))
    twin = None
    if rule.get("security_group_id"):
        name = expect_groups.acl_name(rule)
        twin = _twin(work, rule, name)
        names = names - {name} if twin else names | {name}
    return Left(group.name, names, twin)


_Known = typing.TypeVar("_Known", facts.SecurityGroup, facts.SecurityGroupRule)


def logged(work: apply_work.Work, known: _Known) -> _Known:
    """Return the facts with what log objects ask for now."""
    return dataclasses.replace(known, logs=facts_logs.read(work.context))


def _group_of(work: apply_work.Work, rule_id: str, rule: facts.Dict) -> typing.Any:
    """Return the port group with the rule's ACL, by the id on it if the rule's dict is lost."""
    if rule.get("security_group_id"):
        name = expect_groups.group_name(rule["security_group_id"])
        return observe.row(work.nb, "Port_Group", name)
    with work.nb.ovsdb_connection.lock:
        for group in work.nb.tables["Port_Group"].rows.values():
            if observe.acls_of_rules(group, frozenset({rule_id})):
                return group
    return None


def _twin(work: apply_work.Work, rule: facts.Dict, name: str) -> facts.SecurityGroupRule | None:
    """Return a rule of the same group that asks for the same ACL."""
    try:
        group = work.plugin.get_security_group(work.context, rule["security_group_id"])
    except sg_exc.SecurityGroupNotFound:
        return None
    for one in group["security_group_rules"]:
        if one["id"] != work.target.resource_id and expect_groups.acl_name(one) == name:
            return facts.SecurityGroupRule(rule=one, group=group)
    return None


def _remove_acls(work: apply_work.Work, group_name: str, names: typing.Iterable[str]) -> None:
    group = work.nb.lookup("Port_Group", group_name)
    with work.nb.transaction(check_error=True) as txn:
        for name in names:
            for acl in observe.acls(group, name):
                txn.add(work.nb.pg_acl_del(group_name, acl.direction, acl.priority, acl.match))


def _write_acls(
    work: apply_work.Work, wanted: apply_work.Rows, found: apply_work.Differences
) -> None:
    """Make and mend ACLs: stock neither changes an action nor notices a second copy."""
    differs = {
        one.name
        for one in apply_work.touched(found, "ACL")
        if one.column.partition(":")[0] not in expect_logs.COLUMNS
    }
    replaced = [row for row in wanted if row.name in differs and "external_ids" in row.columns]
    if replaced:
        group = work.nb.lookup("Port_Group", replaced[0].name.split(" ")[0])
        there = observe.acls_by_name(group)
        # Together: of a group that becomes stateless no half of the ACLs is still stateful.
        with work.nb.transaction(check_error=True) as txn:
            for row in replaced:
                for command in _replacement(work.nb, row, there.get(row.name, [])):
                    txn.add(command)
    for one in apply_work.touched(found, "ACL", "other acls of the rule"):
        _remove_acls(work, one.name.split(" ")[0], one.found)


def _replacement(
    nb: typing.Any, row: compare.Row, there: list[typing.Any]
) -> collections.abc.Iterator[typing.Any]:
    """Yield the commands that leave one ACL as it should be; ``there``: it and its copies."""
    group_name, direction, priority, match = row.name.split(" ", 3)
    rule_id = min(row.columns["external_ids"].wanted[_RULE_ID].texts)
    action = row.columns["action"]
    if not there:
        columns = {_RULE_ID: rule_id}
        yield nb.pg_acl_add(
            group_name, direction, int(priority), match, action, may_exist=True, **columns
        )
        return
    kept = observe.in_use(there)
    yield nb.db_set("ACL", kept.uuid, ("action", action), ("external_ids", {_RULE_ID: rule_id}))
    for copy in there:
        if copy.uuid != kept.uuid:
            yield nb.db_remove("Port_Group", group_name, "acls", copy.uuid)
