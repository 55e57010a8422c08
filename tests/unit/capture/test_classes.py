# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The class map against the metadata of all of Neutron's models."""

import collections

import pytest
from neutron.db.migration.models import head
from neutron_lib.db import model_base

from networking_workflow.capture import classes
from networking_workflow.plan import keys
from tests.unit.upstream import RELEASE

METADATA = head.get_metadata()

#: Tables that came with a later release of Neutron than the one that is installed.
LATER = {table for since, tables in classes.SINCE.items() for table in tables if since > RELEASE}

#: Tables of all that a column may name; several resources write a port's address together.
NAMED = {**classes.TABLE_OF, classes.PORT_FIP: "ports"}

#: Columns that hold an id and are no foreign key in Neutron's models.
BARE = {
    ("floatingips", "floating_network_id"),
    ("logs", "resource_id"),
    ("logs", "target_id"),
}


def test_every_table_is_in_exactly_one_list():
    listed = collections.Counter([*classes.ITSELF, *classes.CHILD, *classes.IGNORED])
    new = sorted(set(METADATA.tables) - set(listed))
    assert new == [], f"tables that are new, in no list: {', '.join(new)}"
    gone = sorted(set(listed) - LATER - set(METADATA.tables))
    assert gone == [], f"tables that are in a list and gone: {', '.join(gone)}"
    assert sorted(LATER & set(METADATA.tables)) == []
    assert [table for table, times in listed.items() if times > 1] == []


def test_every_table_that_came_with_a_release_is_in_a_list():
    listed = {*classes.ITSELF, *classes.CHILD, *classes.IGNORED}
    for tables in classes.SINCE.values():
        assert tables <= listed


def test_no_list_names_a_table_twice():
    children = [table for text in classes._CHILDREN.values() for table in text.split()]
    ignored = [table for text in classes._IGNORED.values() for table in text.split()]
    assert len(children) == len(set(children))
    assert len(ignored) == len(set(ignored))


@pytest.mark.parametrize("table", sorted(set(classes.CHILD) - LATER))
def test_child_column_is_a_foreign_key_to_its_parents_table(table):
    child = classes.CHILD[table]
    parent = classes.TABLE_OF[child.kind]
    targets = {fk.target_fullname for fk in METADATA.tables[table].c[child.column].foreign_keys}
    assert f"{parent}.{classes.ITSELF[parent].id_column}" in targets


@pytest.mark.parametrize("table", sorted(set(classes.ITSELF) - LATER))
def test_own_columns_exist(table):
    entry = classes.ITSELF[table]
    columns = METADATA.tables[table].c
    assert entry.id_column in columns
    assert entry.noise <= set(columns.keys())


@pytest.mark.parametrize("table", sorted(set(classes.REFERENCES) - LATER))
def test_reference_columns_point_where_they_say_and_have_a_rule(table):
    columns = METADATA.tables[table].c
    kind = (classes.ITSELF.get(table) or classes.CHILD[table]).kind
    for column, resource_type in classes.REFERENCES[table]:
        targets = {fk.column.table.name for fk in columns[column].foreign_keys}
        assert targets == (set() if (table, column) in BARE else {NAMED[resource_type]})
        assert resource_type in keys.RULES[kind].references


def test_kinds_are_unique_and_every_covered_kind_has_its_rule_of_keys():
    assert len(classes.TABLE_OF) == len(classes.ITSELF)
    assert set(classes.COVERED) <= set(classes.TABLE_OF)
    assert set(classes.COVERED) == set(keys.RULES)


def test_cascades_into_covered_tables_go_through_the_session():
    """What the database deletes by itself is invisible: so parents cascade in the session."""
    mappers = {m.local_table.name: m for m in model_base.BASEV2.registry.mappers}
    missing = []
    for name in (classes.TABLE_OF[kind] for kind in classes.COVERED):
        for fk in METADATA.tables[name].foreign_keys:
            parent = fk.column.table.name
            if (fk.ondelete or "").upper() != "CASCADE" or parent == "standardattributes":
                continue
            cascading = [
                relation
                for relation in mappers[parent].relationships
                if relation.mapper.local_table.name == name and relation.cascade.delete
            ]
            if not cascading:
                missing.append((name, fk.parent.name, parent))
    assert missing == [
        # A rule's address group cannot be deleted (AddressGroupInUse) ...
        ("securitygrouprules", "remote_address_group_id", "address_groups"),
        # ... nor a router with interfaces (RouterInUse); its gateway goes before it.
        ("routerports", "router_id", "routers"),
    ]


def test_what_leads_on_is_named_by_the_kinds_own_rows():
    for kind, through in classes.THROUGH.items():
        named = {name for _, name in classes.REFERENCES[classes.TABLE_OF[kind]]}
        assert through <= named


def test_what_is_part_of_a_parent_refers_to_it():
    for kind, (parent, column) in classes.FOLDS.items():
        assert (column, parent) in classes.REFERENCES[classes.TABLE_OF[kind]]
