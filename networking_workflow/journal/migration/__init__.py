# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The journal's migrations: ``neutron-db-manage --subproject networking-workflow upgrade heads``.

Expand-only: a new release's tables serve the old release's processes as well.
"""

#: Its own version table: Neutron's heads and ours move apart.
VERSION_TABLE = "alembic_version_networking_workflow"
