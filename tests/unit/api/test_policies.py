# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

from networking_workflow.api import policies, tasks, workflows


def test_admin_fields_are_attributes_that_have_a_rule() -> None:
    rules = {rule.name: rule for rule in policies.list_rules()}
    for attributes, member in ((workflows.ATTRIBUTES, "workflow"), (tasks.ATTRIBUTES, "task")):
        for field in policies.ADMIN_FIELDS[member]:
            assert attributes[field]["is_visible"]
            assert rules[f"get_{member}:{field}"].check_str == "rule:admin_only"


def test_admin_fields_cannot_be_guessed_by_filter_or_order() -> None:
    for attributes, member in ((workflows.ATTRIBUTES, "workflow"), (tasks.ATTRIBUTES, "task")):
        for field in policies.ADMIN_FIELDS[member]:
            assert not attributes[field].get("is_filter")
            assert not attributes[field].get("is_sort_key")


def test_ids_of_other_projects_cannot_be_guessed_by_filter() -> None:
    for field in ("blocked_by", "waits_for", "superseded_by"):
        assert not workflows.ATTRIBUTES[field].get("is_filter")


def test_no_answer_has_a_place_for_snapshots_or_keys() -> None:
    shown = set(workflows.ATTRIBUTES) | set(tasks.ATTRIBUTES)
    assert not shown & {"snapshot", "held_keys", "claim_token", "owner", "body"}
