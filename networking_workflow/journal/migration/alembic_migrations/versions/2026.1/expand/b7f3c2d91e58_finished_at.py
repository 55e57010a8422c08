# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Workflows are found by when they ended: the oldest are forgotten

Revision ID: b7f3c2d91e58
Revises: 9c1f27a4d0b3
Create Date: 2026-11-26 23:40:00
"""

from alembic import op

revision = "b7f3c2d91e58"
down_revision = "9c1f27a4d0b3"


def upgrade() -> None:
    """Make the index."""
    op.create_index("ix_workflow_workflows_finished", "workflow_workflows", ["finished_at"])
