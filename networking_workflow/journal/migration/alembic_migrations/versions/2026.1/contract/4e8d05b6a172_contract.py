# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The contract branch, which stays empty: ``neutron-db-manage`` asks for its head

Revision ID: 4e8d05b6a172
Revises: start_networking_workflow
Create Date: 2026-11-24 12:00:00
"""

from neutron.db.migration import cli

revision = "4e8d05b6a172"
down_revision = "start_networking_workflow"
branch_labels = (cli.CONTRACT_BRANCH,)


def upgrade() -> None:
    """Change nothing: the journal only expands, so that a release's processes may run on."""
