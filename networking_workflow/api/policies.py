# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Who may do what: projects read their own workflows and tasks; admins read all of them and the
causes, and move workflows.
"""

from oslo_policy import policy

from networking_workflow import releases

_RULES = releases.policy_rules()

#: Fields that carry a driver's own words or a host's name, by resource.
ADMIN_FIELDS = {
    "workflow": ("failure_detail",),
    "task": ("failure_detail", "host"),
}

#: What may be asked of a workflow -> what that does.
ACTIONS = {
    "retry": "Run FAILED workflows again",
    "skip": "End workflows without the backend having followed",
    "cancel": "End workflows; what runs, when its driver's call has returned",
}


def list_rules() -> list[policy.RuleDefault]:
    """Return every rule, for Neutron and for the sample generators."""
    rules: list[policy.RuleDefault] = []
    for resource, fields in ADMIN_FIELDS.items():
        operations = [
            {"method": "GET", "path": f"/{resource}s"},
            {"method": "GET", "path": f"/{resource}s/{{id}}"},
        ]
        rules.append(
            policy.DocumentedRuleDefault(
                name=f"get_{resource}",
                check_str=_RULES.ADMIN_OR_PROJECT_READER,
                scope_types=["project"],
                description=f"Get a {resource} of one's own project, or list them",
                operations=operations,
            )
        )
        rules.extend(
            policy.DocumentedRuleDefault(
                name=f"get_{resource}:{field}",
                check_str=_RULES.ADMIN,
                scope_types=["project"],
                description=f"Get the attribute {field} of a {resource}",
                operations=operations,
            )
            for field in fields
        )
    rules.extend(
        policy.DocumentedRuleDefault(
            name=f"{action}_workflow",
            check_str=_RULES.ADMIN,
            scope_types=["project"],
            description=description,
            operations=[
                {"method": "PUT", "path": f"/workflows/{{id}}/{action}"},
                {"method": "PUT", "path": f"/workflows/{action}"},
            ],
        )
        for action, description in ACTIONS.items()
    )
    return rules
