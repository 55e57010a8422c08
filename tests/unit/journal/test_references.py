# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What the journal reads of Neutron's tables, held to Neutron's own models and to capture."""

import pytest
from neutron.common.ovn import constants as ovn_const
from neutron.db.migration.models import head

from networking_workflow.capture import classes
from networking_workflow.journal import references, sources

TABLES = head.get_metadata().tables
KINDS = sorted(sources.SOURCES)


#: Tables of all that a column may name.
NAMED = {**classes.TABLE_OF, classes.PORT_FIP: "ports", "hcg": "networks"}

#: Columns that hold an id and are no foreign key in Neutron's models: the network of a floating IP.
FLOATING = TABLES["floatingips"].c.floating_network_id
BARE = {FLOATING, TABLES["logs"].c.resource_id, TABLES["logs"].c.target_id}


def leads_to(column, named):
    return column in BARE or names(column) == {NAMED[named]}


def names(column):
    """Return the tables that a column's foreign keys lead to."""
    return {key.column.table.name for key in column.foreign_keys}


def test_every_kind_with_workflows_is_read():
    assert set(KINDS) == set(classes.COVERED)


@pytest.mark.parametrize("kind", KINDS)
def test_each_column_is_there_and_leads_to_what_it_is_said_to_name(kind):
    source = sources.SOURCES[kind]
    assert source.table == classes.TABLE_OF[kind]
    assert source.id == classes.ITSELF[source.table].id_column
    own = TABLES[source.table].c
    assert ("standard_attr_id" in own) is source.standard
    assert ("project_id" in own) is source.project
    for column, named in source.columns.items():
        assert leads_to(own[column], named)
    for child in source.children:
        columns = TABLES[child.table].c
        assert child.table == source.table or names(columns[child.owner]) == {source.table}
        for column, named in child.columns.items():
            assert leads_to(columns[column], named)


@pytest.mark.parametrize("kind", KINDS)
def test_each_column_that_leads_on_leads_to_the_row_it_says(kind):
    source = sources.SOURCES[kind]
    for through in source.through:
        columns, other = TABLES[through.table].c, TABLES[through.other].c
        assert through.table == source.table or names(columns[through.owner]) == {source.table}
        joined, column = other[through.key], columns[through.column]
        leads = {"networks"} if column is FLOATING else names(column)
        assert leads == (names(joined) or {through.other})
        for column, named in through.columns.items():
            assert leads_to(other[column], named)


@pytest.mark.parametrize("kind", KINDS)
def test_keys_cover_what_capture_takes_from_the_rows_of_a_flush(kind):
    source = sources.SOURCES[kind]
    read = {(source.table, column, named) for column, named in source.columns.items()}
    for child in source.children:
        read.add((child.table, child.owner, kind))
        read |= {(child.table, column, named) for column, named in child.columns.items()}
    flushed = {
        (table, column, named)
        for table, columns in classes.REFERENCES.items()
        for column, named in columns
        if table == source.table or table in {child.table for child in source.children}
    }
    assert read >= flushed


def test_what_decides_on_an_acl_are_columns_of_a_rule():
    assert set(references._ACL_COLUMNS) <= set(TABLES["securitygrouprules"].c.keys())


def test_policy_of_a_routers_gateway_is_found_over_columns_of_neutron():
    for table in (references._ROUTERS, references._PORTS, references._OF_NETWORKS):
        assert set(table.c.keys()) <= set(TABLES[table.name].c.keys())


def test_external_ports_are_those_of_neutron():
    assert set(sources.EXTERNAL_VNIC_TYPES) == set(ovn_const.EXTERNAL_PORT_TYPES)
    assert {"port_id", "vnic_type"} <= set(TABLES["ml2_port_bindings"].c.keys())
