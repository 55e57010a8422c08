# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The collections that take an ``Idempotency-Key``, against the metadata of Neutron's models."""

import pytest
from neutron.db import rbac_db_models
from neutron.db.migration.models import head

from networking_workflow.capture import idempotency

METADATA = head.get_metadata()


@pytest.mark.parametrize("path", sorted(idempotency.COLLECTIONS))
def test_what_a_post_makes_has_a_row_with_an_id(path):
    for table in idempotency.COLLECTIONS[path]:
        assert [column.name for column in METADATA.tables[table].primary_key] == ["id"]


def test_every_kind_of_rbac_policy_is_known():
    models = rbac_db_models.get_type_model_map().values()
    tables = {model.__tablename__ for model in models}
    assert idempotency.COLLECTIONS["rbac_policies"] == tables
