# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A page of the newest, or of what changed since a time, is found without reading the table

Revision ID: d4a90e7c15b6
Revises: d41c6e9a0b72
Create Date: 2026-11-27 06:20:00
"""

from alembic import op

revision = "d4a90e7c15b6"
down_revision = "d41c6e9a0b72"


def upgrade() -> None:
    """Make the indexes."""
    for table in ("workflow_workflows", "workflow_tasks"):
        op.create_index(f"ix_{table}_created", table, ["created_at", "id"])
        op.create_index(f"ix_{table}_updated", table, ["updated_at"])
