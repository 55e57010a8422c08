# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Neutron's schema in a new SQLite or PostgreSQL database, without its migrations.

They fail there: on SQLite for constraints added to existing tables, on PostgreSQL for a statement
that only MariaDB knows (2025.2/expand/d553edeb540f). What the models say is the same; the rows
that migrations insert are added here. Run as a module with the database's URL, then stamp heads.
"""

import sys
import uuid

import sqlalchemy as sa
from neutron.db.migration.models import head

RULES_TABLE = "securitygroupdefaultrules"

#: The rules of every new security group, as 2023.2/expand/c33da356b165 has them; without them a
#: new group has none. (direction, remote group, also in groups that are not the default one).
DEFAULT_RULES = (("egress", None, True), ("ingress", "PARENT", False))


def create(engine: sa.Engine) -> None:
    """Create all of Neutron's tables, and the rows that its migrations insert."""
    metadata = head.get_metadata()
    metadata.create_all(engine)
    attributes = metadata.tables["standardattributes"]
    rules = metadata.tables[RULES_TABLE]
    with engine.begin() as connection:
        for direction, remote_group, in_all in DEFAULT_RULES:
            for ethertype in ("IPv4", "IPv6"):
                attribute = connection.execute(
                    sa.insert(attributes)
                    .values(
                        resource_type=RULES_TABLE,
                        description=f"Legacy default SG rule for {direction} traffic",
                        revision_number=0,
                    )
                    .returning(attributes.c.id)
                ).scalar_one()
                connection.execute(
                    sa.insert(rules).values(
                        id=str(uuid.uuid4()),
                        standard_attr_id=attribute,
                        direction=direction,
                        ethertype=ethertype,
                        remote_group_id=remote_group,
                        used_in_default_sg=True,
                        used_in_non_default_sg=in_all,
                    )
                )


if __name__ == "__main__":
    create(sa.create_engine(sys.argv[1]))
