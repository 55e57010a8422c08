# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What a row of a flush means, on Neutron's own models in a database in memory."""

import pytest
import sqlalchemy as sa
from neutron.db.migration.models import head
from neutron_lib.db import model_base
from sqlalchemy import orm

from networking_workflow.capture import changes, rows
from networking_workflow.journal import schema
from networking_workflow.model.states import Operation

METADATA = head.get_metadata()
MODELS = {mapper.local_table.name: mapper.class_ for mapper in model_base.BASEV2.registry.mappers}


@pytest.fixture(scope="module")
def engine():
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    METADATA.create_all(engine)
    schema.create_all(engine)  # joined by Neutron's models once the API is loaded
    return engine


@pytest.fixture
def session(engine):
    with orm.Session(engine) as session:
        yield session
        session.rollback()


@pytest.fixture
def notes(session):
    """Every note of every flush so far."""
    found = []

    def after_flush(_session, flush):
        for state, (is_delete, list_only) in list(flush.states.items()):
            if not list_only:
                found.extend(rows.notes_of(state, is_delete, {}))

    sa.event.listen(session, "after_flush", after_flush)
    return found


def add(session, table, **values):
    row = MODELS[table](**values)
    session.add(row)
    session.flush()
    return row


def port(session, **values):
    values = {"id": "p", "network_id": "n", "mac_address": "m", "status": "DOWN", **values}
    values = {"admin_state_up": True, "device_id": "", "device_owner": "", **values}
    return add(session, "ports", **values)


def one(notes, operation):
    chosen = [note for note in notes if getattr(note, "operation", None) is operation]
    assert len(chosen) == 1, notes
    return chosen[0]


def test_new_row_tells_its_references_project_and_attribute(session, notes):
    port(session, project_id="t")
    note = one(notes, Operation.CREATE)
    assert (note.resource_type, note.resource_id, note.project_id) == ("port", "p", "t")
    assert note.references == {("network", "n")}
    assert note.standard_attr_id is not None


def test_column_that_a_backend_writes_says_nothing(session, notes):
    row = port(session)
    notes.clear()
    row.status = "ACTIVE"
    session.flush()
    assert notes == []


def test_column_set_to_what_it_was_says_nothing(session, notes):
    row = port(session, name="same")
    notes.clear()
    row.name = "same"
    session.flush()
    assert notes == []


def test_change_of_an_expired_row_is_seen(session, notes):
    row = port(session)
    session.expire(row)
    notes.clear()
    row.name = "new"
    session.flush()
    note = one(notes, Operation.UPDATE)
    assert note.resource_id == "p"
    assert note.references == {("network", "n")}


def test_reference_that_moves_is_told_old_and_new(session, notes):
    row = port(session)
    notes.clear()
    row.network_id = "other"
    session.flush()
    note = one(notes, Operation.UPDATE)
    assert note.references == {("network", "n"), ("network", "other")}


def test_part_that_moves_to_another_owner_changes_both(session, notes):
    port(session)
    port(session, id="q", mac_address="q")
    row = add(session, "extradhcpopts", port_id="p", opt_name="a", opt_value="b", ip_version=4)
    notes.clear()
    row.port_id = "q"
    session.flush()
    assert {(note.resource_id, note.operation) for note in notes} == {
        ("p", Operation.UPDATE),
        ("q", Operation.UPDATE),
    }


def test_address_that_goes_is_an_old_reference_of_its_port(session, notes):
    port(session)
    row = add(session, "ipallocations", port_id="p", ip_address="1", subnet_id="s", network_id="n")
    notes.clear()
    session.delete(row)
    session.flush()
    note = one(notes, Operation.UPDATE)
    assert (note.resource_id, note.references) == ("p", {("subnet", "s")})


@pytest.mark.parametrize(("vnic_type", "external"), [("normal", False), ("direct", True)])
def test_external_binding_is_marked(session, notes, vnic_type, external):
    port(session)
    notes.clear()
    values = {"vif_type": "unbound", "vif_details": "", "profile": "", "status": "ACTIVE"}
    add(session, "ml2_port_bindings", port_id="p", host="h", vnic_type=vnic_type, **values)
    assert (rows.EXTERNAL in one(notes, Operation.UPDATE).references) is external


def test_deleted_row_without_a_dict_is_told_by_its_columns(session, notes):
    row = add(session, "securitygroups", id="g", name="name", stateful=True)
    notes.clear()
    session.delete(row)
    session.flush()
    note = one(notes, Operation.DELETE)
    assert note.deleted["name"] == "name"


def test_rule_belongs_to_its_group_and_names_its_acl(session, notes):
    add(session, "securitygroups", id="g", name="name", stateful=True)
    notes.clear()
    add(session, "securitygrouprules", id="r", security_group_id="g", direction="egress")
    note = one(notes, Operation.CREATE)
    assert note.parent == ("security_group", "g")
    assert {kind for kind, _ in note.references} == {"security_group", "acl"}


def test_description_is_told_by_its_attribute(session, notes):
    row = port(session)
    notes.clear()
    row.description = "new"
    session.flush()
    assert notes == [changes.Description("ports", row.standard_attr_id)]


def test_description_of_a_part_is_told_by_its_attribute(session, notes):
    row = add(session, "networksegments", id="s", network_id="n", network_type="vlan")
    notes.clear()
    row.description = "new"
    session.flush()
    assert notes == [changes.Description("networksegments", row.standard_attr_id)]


def test_attribute_of_a_kind_that_is_not_covered_says_nothing(session, notes):
    place = {"local_port_id": "p", "network_id": "n", "local_ip_address": "192.0.2.1"}
    row = add(session, "local_ips", id="l", ip_mode="translate", **place)
    row.description = "new"
    row.name = "new"
    session.flush()
    assert notes == []


def router_port(session, port_type):
    port(session)
    add(session, "routers", id="r")
    return add(session, "routerports", router_id="r", port_id="p", port_type=port_type)


def test_row_of_an_interface_is_an_interface_by_the_id_of_its_port(session, notes):
    row = router_port(session, "network:router_interface")
    session.delete(row)
    session.flush()
    found = [(n.operation, n.resource_id) for n in notes if n.resource_type == "router_interface"]
    assert found == [(Operation.CREATE, "p"), (Operation.DELETE, "p")]
    assert notes[-1].references == {("router", "r"), ("port", "p")}


def test_row_of_a_gateway_is_an_update_of_its_router(session, notes):
    row = router_port(session, "network:router_gateway")
    session.delete(row)
    session.flush()
    assert [(n.operation, n.references) for n in notes[2:]] == [
        (Operation.UPDATE, {("port", "p")}),
        (Operation.UPDATE, {("port", "p")}),
    ]
    assert {(n.resource_type, n.resource_id) for n in notes[2:]} == {("router", "r")}


def test_row_that_names_no_owner_is_an_error():
    row = MODELS["extradhcpopts"]()
    with pytest.raises(rows.RowWithoutOwner, match="extradhcpopts"):
        rows.notes_of(sa.inspect(row), False, {})
