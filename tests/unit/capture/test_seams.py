# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Seams: they act, and they are looked at again when what they stand in for changes."""

import inspect
import sqlite3
import threading
import types

import pytest
import sqlalchemy as sa
from neutron import manager as neutron_manager
from neutron.api import api_common, extensions
from neutron.api.v2 import base
from neutron.plugins.ml2 import driver_context, managers
from neutron.plugins.ml2 import plugin as ml2_plugin
from neutron.plugins.ml2.drivers.ovn.mech_driver import mech_driver
from neutron.plugins.ml2.drivers.ovn.mech_driver.ovsdb import maintenance, ovsdb_monitor
from neutron.services.logapi import logging_plugin
from neutron.services.logapi.common import sg_callback
from neutron.services.logapi.drivers import manager as log_manager
from neutron.services.ovn_l3 import plugin as ovn_l3
from neutron.services.ovn_l3.service_providers import ovn as ovn_provider
from neutron.services.portforwarding.drivers.ovn import driver as ovn_port_forwarding
from neutron.services.qos import qos_plugin
from neutron.services.qos.drivers import manager as qos_manager
from neutron.services.trunk.drivers.ovn import trunk_driver
from neutron_lib.callbacks import events, registry, resources
from neutron_lib.callbacks import manager as callbacks_manager
from neutron_lib.plugins import directory
from neutron_lib.services.logapi import constants as log_constants
from neutron_lib.services.qos import constants as qos_constants
from oslo_db.sqlalchemy import enginefacade, engines
from sqlalchemy import orm
from sqlalchemy.orm import unitofwork

from networking_workflow.capture import (
    driver_managers,
    mechanisms,
    plugin,
    refusals,
    seams,
    session,
)
from networking_workflow.drivers import registry as drivers_registry
from networking_workflow.model import errors
from tests.unit.upstream import RELEASE, moved

#: Source of what a seam stands in for or reaches into. A new digest: read the upstream change,
#: adapt the seam, then write the new digest here.
UPSTREAM = {
    callbacks_manager.CallbacksManager.subscribe: "38ee8e713677",
    mech_driver.OVNMechanismDriver.subscribe: {28: "589ec327352b", 29: "824eb0357896"},
    ml2_plugin.Ml2Plugin.__init__: {28: "e942d6c1c749", 29: "cecd886db08d"},
    managers.MechanismManager._call_on_drivers: "c85d08eb8b0e",
    ml2_plugin.Ml2Plugin._bind_port_if_needed: "7e215d51e886",
    ml2_plugin.Ml2Plugin._should_bind_port: "33143c04c01b",
    ml2_plugin.Ml2Plugin._attempt_binding: "7949c7d742a3",
    ml2_plugin.Ml2Plugin._bind_port: "78293c45ea24",
    ml2_plugin.Ml2Plugin._commit_port_binding: "bf05f1114a2a",
    ml2_plugin.Ml2Plugin.create_port_binding: "f8675fbb1c9c",
    managers.MechanismManager.bind_port: "5013f5732ea5",
    managers.MechanismManager._bind_port_level: "72008ef93fa1",
    managers.MechanismManager._check_drivers_connectivity: "c06af7d97e15",
    driver_context.PortContext.__init__: "e7bbcb7148a0",
    api_common.is_native_pagination_supported: "abdd908dd447",
    base.Controller._is_native_bulk_supported: "a1eeb168efd2",
    enginefacade._TransactionFactory._setup_for_connection: "7189b0e476bb",
    enginefacade._TransactionContext._session: "c0b6ed4703a1",
    mech_driver.get_network_availability_zones: "e48e2339a6d5",
    ovsdb_monitor.OvnIdlDistributedLock.notify: "5f3b06607038",
    maintenance.HashRingHealthCheckPeriodics.touch_hash_ring_node: {
        28: "fd0a2ac5e1e0",
        29: "e0c81e35c22c",
    },
    ovn_provider.OvnDriver: "1efa20a3291c",
    ovn_l3.OVNL3RouterPlugin._subnet_update: "26f1b50d6715",
    ovn_l3.OVNL3RouterPlugin.get_router_availability_zones: "e15445b10f3f",
    ovn_port_forwarding.OVNPortForwarding.register: "f2b398e5b160",
    trunk_driver.OVNTrunkDriver.register: "202864b425c6",
    neutron_manager.NeutronManager.__init__: {28: "ad51f3c4070a", 29: "2ad539f5c64c"},
    extensions.plugin_aware_extension_middleware_factory: "be2aa5507650",
    seams._STOCK_MIDDLEWARE.__init__: {28: "5a8c9c2a2b44", 29: "f12c6adfc7a9"},
    seams._STOCK_LOAD: {28: "cbd8a7d9cbc6", 29: "2da987363851"},
    qos_manager.QosServiceDriverManager.__init__: "3131b3244bf0",
    qos_manager.QosServiceDriverManager.call: "6fa29330c9ef",
    qos_plugin.QoSPlugin.__init__: "ad3cfd9adc7b",
    log_manager.ResourceCallBackBase.__init__: "809bdce2f926",
    log_manager.LoggingServiceDriverManager.__init__: "c807d32f9df3",
    log_manager.LoggingServiceDriverManager.call: "a1c52fdc4311",
    log_manager.LoggingServiceDriverManager._setup_resources_cb_handle: "4dbeee752050",
    logging_plugin.LoggingPlugin.__init__: "1bf9dba88b3b",
    orm.SessionTransaction._prepare_impl: {28: "02c8107b3f17", 29: "34dc69ac57aa"},
    unitofwork.UOWTransaction.__init__: "88022abeb40e",
}


@pytest.mark.parametrize("upstream", UPSTREAM, ids=lambda thing: thing.__qualname__)
def test_upstream_is_as_it_was_when_the_seam_was_made(upstream):
    otherwise = moved(upstream, UPSTREAM[upstream])
    assert not otherwise, otherwise


def test_oslo_db_still_begins_sqlite_transactions_itself():
    source = inspect.getsource(engines)
    assert 'conn.execute(sqlalchemy.text("BEGIN"))' in source


#: What OVN's mechanism driver subscribes to and goes on receiving, with the reason.
KEPT = {
    "pre_fork_initialize",  # start of the process
    "post_fork_initialize",
    "_add_segment_host_mapping_for_segment",  # writes Neutron's database only
    "_create_segment_revision_precommit",
    "_create_security_group_precommit",
    "_create_sg_rule_precommit",
    "_validate_allowed_address_pairs",  # decides the answer
}

#: Of these, what comes with a release of Neutron.
KEPT_SINCE = {29: {"_create_segment_revision_precommit"}}


@pytest.fixture
def callbacks(monkeypatch):
    fresh = callbacks_manager.CallbacksManager()
    monkeypatch.setattr(registry, "_CALLBACK_MANAGER", fresh)
    return fresh


def subscriptions(callbacks):
    return {
        (callback.__name__, resource, event)
        for resource, by_event in callbacks._callbacks.items()
        for event, priorities in by_event.items()
        for priority in priorities
        for callback in priority.pri_callbacks.values()
    }


def test_every_subscription_of_ovn_is_lifted_or_kept_on_purpose(callbacks):
    driver = object.__new__(mech_driver.OVNMechanismDriver)
    driver.sg_enabled = True
    driver.subscribe()
    before = subscriptions(callbacks)
    later = {name for since, names in KEPT_SINCE.items() for name in names if since > RELEASE}
    assert {name for name, _, _ in before} == {name for name, _, _ in seams.OVN_SUBSCRIPTIONS} | (
        KEPT - later
    )
    seams.lift_ovn_subscriptions(driver)
    assert before - subscriptions(callbacks) == set(seams.OVN_SUBSCRIPTIONS)


def test_lifted_ovn_hears_of_no_change_and_unlifted_of_many(callbacks):
    driver = object.__new__(mech_driver.OVNMechanismDriver)
    driver.sg_enabled = True
    driver.subscribe()
    assert "_create_security_group" in seams.receivers_after_commit(driver)
    seams.lift_ovn_subscriptions(driver)
    assert seams.receivers_after_commit(driver) == []


class Impatient:
    """A driver that does not wait to be called."""

    def port_changed(self, resource, event, trigger, payload=None):
        """Program something at once."""

    def agent_changed(self, resource, event, trigger, payload=None):
        """Have nothing to do with covered resources."""


def test_driver_that_subscribes_to_changes_by_itself_is_refused_by_name(callbacks):
    driver = Impatient()
    callbacks.subscribe(driver.port_changed, resources.PORT, events.AFTER_UPDATE)
    callbacks.subscribe(driver.agent_changed, resources.AGENT, events.AFTER_UPDATE)
    assert seams.receivers_after_commit(driver) == ["port_changed"]
    with pytest.raises(errors.ConfigurationError, match=r"'impatient' \(port_changed\)"):
        refusals.refuse_receivers({"quiet": [], "impatient": ["port_changed"]})
    refusals.refuse_receivers({"quiet": []})


def test_ovn_without_security_groups_has_less_to_lift(callbacks):
    driver = object.__new__(mech_driver.OVNMechanismDriver)
    driver.sg_enabled = False
    driver.subscribe()
    seams.lift_ovn_subscriptions(driver)
    assert {name for name, _, _ in subscriptions(callbacks)} <= KEPT


def test_another_release_of_ovn_is_refused(callbacks):
    with pytest.raises(errors.ConfigurationError, match="_create_security_group"):
        seams.lift_ovn_subscriptions(object())


class Heard:
    """A mechanism driver that notes which of its hooks are called."""

    def __init__(self):
        self.hooks = []

    def __getattr__(self, name):
        return lambda _context: self.hooks.append(name)


@pytest.mark.parametrize("resource", ["network", "subnet", "port"])
@pytest.mark.parametrize("operation", ["create", "update", "delete"])
def test_a_postcommit_of_the_manager_reaches_drivers_that_tell_agents_and_no_other(
    operation, resource
):
    name = f"{operation}_{resource}_postcommit"
    assert name in vars(mechanisms.CapturingMechanismManager)
    manager = object.__new__(mechanisms.CapturingMechanismManager)
    drivers = {alias: Heard() for alias in ("ovn", *sorted(drivers_registry.TELL_AGENTS))}
    manager.ordered_mech_drivers = [
        types.SimpleNamespace(name=alias, obj=driver) for alias, driver in drivers.items()
    ]
    getattr(manager, name)(None)
    heard = {alias: driver.hooks for alias, driver in drivers.items()}
    assert heard == {"ovn": [], **{alias: [name] for alias in drivers_registry.TELL_AGENTS}}


def test_manager_has_no_call_on_drivers_that_is_not_known_here():
    calls = {name for name in dir(managers.MechanismManager) if name.endswith("commit")}
    assert calls == {
        f"{operation}_{resource}_{when}commit"
        for operation in ("create", "update", "delete")
        for resource in ("network", "subnet", "port")
        for when in ("pre", "post")
    }


class Ml2Plugin(plugin.CapturingMl2Plugin):
    """What is configured has this name."""


@pytest.mark.parametrize("cls", [plugin.CapturingMl2Plugin, Ml2Plugin])
def test_bulk_pagination_and_sorting_stay_native(cls):
    instance = object.__new__(cls)
    controller = types.SimpleNamespace(_plugin=instance)
    assert base.Controller._is_native_bulk_supported(controller)
    assert api_common.is_native_pagination_supported(instance)
    assert api_common.is_native_sorting_supported(instance)


def started(url):
    manager = enginefacade.transaction_context()
    manager.configure(connection=url, sqlite_fk=True)
    seams.queue_writers(manager, sa.make_url(url))
    return manager


class Context:
    """What oslo.db hangs its transaction on."""


enginefacade.transaction_context_provider(Context)


def statements_of(engine):
    seen = []

    @sa.event.listens_for(engine, "after_cursor_execute")
    def note(_conn, _cursor, statement, *_):
        seen.append(statement)

    return seen


def test_sqlite_writers_begin_immediate_and_readers_do_not(tmp_path):
    manager = started(f"sqlite:///{tmp_path}/x.db")
    writes = statements_of(manager.writer.get_engine())
    reads = statements_of(manager.reader.get_engine())
    with manager.writer.using(Context()) as writer:
        writer.execute(sa.text("CREATE TABLE t (x INTEGER)"))
    with manager.reader.using(Context()) as reader:
        assert reader.execute(sa.text("PRAGMA journal_mode")).scalar() == "wal"
    assert writes[0] == "BEGIN IMMEDIATE"
    assert reads[0] == "BEGIN"


def test_sqlite_reader_sees_what_a_writer_committed_and_waits_for_nobody(tmp_path):
    manager = started(f"sqlite:///{tmp_path}/x.db")
    with manager.writer.using(Context()) as writer:
        writer.execute(sa.text("CREATE TABLE t (x INTEGER)"))
    with manager.writer.using(Context()) as writer:
        writer.execute(sa.text("INSERT INTO t VALUES (1)"))
        with manager.reader.using(Context()) as reader:
            assert reader.execute(sa.text("SELECT count(*) FROM t")).scalar() == 0
    with manager.reader.using(Context()) as reader:
        assert reader.execute(sa.text("SELECT count(*) FROM t")).scalar() == 1


def test_sqlite_writers_that_read_first_wait_for_each_other(tmp_path):
    manager = started(f"sqlite:///{tmp_path}/x.db")
    with manager.writer.using(Context()) as writer:
        writer.execute(sa.text("CREATE TABLE t (x INTEGER)"))
        writer.execute(sa.text("INSERT INTO t VALUES (0)"))
    failures = []

    def add():
        try:
            for _ in range(10):
                with manager.writer.using(Context()) as writer:
                    value = writer.execute(sa.text("SELECT x FROM t")).scalar()
                    writer.execute(sa.text("UPDATE t SET x = :x"), {"x": value + 1})
        except sa.exc.SQLAlchemyError as error:
            failures.append(error)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sqlite3.connect(tmp_path / "x.db").execute("SELECT x FROM t").fetchone() == (40,)


@pytest.mark.parametrize("url", ["sqlite://", "mysql+pymysql://u@h/d", "postgresql://u@h/d"])
def test_other_databases_are_left_alone(url):
    manager = enginefacade.transaction_context()
    before = dict(manager._factory._url_cfg)
    seams.queue_writers(manager, sa.make_url(url))
    assert manager._factory._url_cfg == before


def raw(engine):
    with engine.connect() as connection:
        return connection.connection.dbapi_connection


def test_sqlite_connections_are_used_again_and_not_by_a_forked_process(tmp_path, monkeypatch):
    manager = started(f"sqlite:///{tmp_path}/x.db")
    for engine in (manager.writer.get_engine(), manager.reader.get_engine()):
        first = raw(engine)
        assert raw(engine) is first
        assert first.execute("PRAGMA busy_timeout").fetchone() == (seams.SQLITE_BUSY_TIMEOUT_MS,)
        with monkeypatch.context() as forked:
            forked.setattr(seams.os, "getpid", lambda: -1)
            own = raw(engine)
            assert own is not first
            assert raw(engine) is own


def test_oslo_db_still_takes_connections_of_sqlite_files_away(tmp_path):
    manager = enginefacade.transaction_context()
    manager.configure(connection=f"sqlite:///{tmp_path}/x.db")
    assert isinstance(manager.writer.get_engine().pool, sa.NullPool)


def test_installing_twice_listens_once():
    try:
        first = session.install()
        second = session.install(session.CaptureSettings(bulk_raises=True))
        assert first is second
        assert first.settings.bulk_raises
    finally:
        session.uninstall()
    assert not sa.event.contains(orm.Session, "before_commit", first.before_commit)


def test_ovn_heartbeats_leave_the_event_thread_on_sqlite_alone(monkeypatch):
    stock = maintenance.hash_ring_db  # another test of this process may have loaded the plugin
    monkeypatch.setattr(ovsdb_monitor, "ovn_hash_ring_db", stock)
    monkeypatch.setattr(seams.cfg.CONF.database, "connection", "mysql+pymysql://u@h/d", False)
    seams.keep_ovn_heartbeats_off_the_event_thread()
    assert ovsdb_monitor.ovn_hash_ring_db is stock
    monkeypatch.setattr(seams.cfg.CONF.database, "connection", "sqlite:////x.db", False)
    seams.keep_ovn_heartbeats_off_the_event_thread()
    assert ovsdb_monitor.ovn_hash_ring_db.touch_node(None, "node") is None
    assert maintenance.hash_ring_db is stock
    used = inspect.getsource(ovsdb_monitor).count("ovn_hash_ring_db.")
    assert used == 1  # touch_node: nothing else is taken away


def test_zones_of_a_network_are_the_hints_of_its_row(monkeypatch):
    monkeypatch.setattr(
        mech_driver, "get_network_availability_zones", mech_driver.get_network_availability_zones
    )
    seams.read_ovn_zones_from_the_database()
    row = {"availability_zone_hints": '["az1", "az2"]'}
    assert mech_driver.get_network_availability_zones(None, row, _driver=None) == ["az1", "az2"]
    row = {"availability_zone_hints": None}
    assert mech_driver.get_network_availability_zones(None, row, _driver=None) == []


#: What OVN's router provider, its port forwarding and its trunks go on receiving, with the reason.
KEPT_BY_SERVICES = {
    "_process_router_create_precommit",  # revision rows, before the commit
    "_process_floatingip_create_update_precommit",
    "_precommit_router_create",  # the router's HA flag
    "_process_portforwarding_create",  # writes Neutron's database only
    "_process_floatingip_status_update",  # of what a conductor's driver publishes itself
    "register",  # of port forwardings and trunks: once, when their plugin is there
    "port_updated",  # the trunk's status: the backend's answer
    "_port_update",  # decides the answer
}


@pytest.fixture
def l3_plugin(callbacks):
    """OVN's router plugin with its provider and port forwarding, subscribed and not started."""
    made = types.SimpleNamespace(
        l3_driver_controller=types.SimpleNamespace(
            drivers={"ovn": ovn_provider.OvnDriver.__new__(ovn_provider.OvnDriver)}
        ),
        port_forwarding=ovn_port_forwarding.OVNPortForwarding.__new__(
            ovn_port_forwarding.OVNPortForwarding
        ),
        _subnet_update=ovn_l3.OVNL3RouterPlugin._subnet_update,
        get_router_availability_zones=None,
    )
    registry.subscribe(made._subnet_update, resources.SUBNET, events.AFTER_UPDATE)
    made.port_forwarding.register(None, None, None)
    return made


def test_every_subscription_of_ovn_routers_is_lifted_or_kept_on_purpose(callbacks, l3_plugin):
    before = subscriptions(callbacks)
    seams.lift_ovn_router_subscriptions(l3_plugin)
    lifted = before - subscriptions(callbacks)
    assert lifted == {
        *seams.OVN_ROUTER_SUBSCRIPTIONS,
        *seams.OVN_ROUTER_PLUGIN_SUBSCRIPTIONS,
        *seams.OVN_PORT_FORWARDING_SUBSCRIPTIONS,
    }
    assert {name for name, _, _ in subscriptions(callbacks)} <= KEPT_BY_SERVICES


def test_router_plugin_itself_subscribes_to_nothing_else_after_a_commit():
    """What it inherits is Neutron's own database code, the same for every backend."""
    own = {
        (name, resource, event)
        for name, method in vars(ovn_l3.OVNL3RouterPlugin).items()
        if callable(method)
        for resource, event, _ in registry._REGISTERED_CLASS_METHODS.get(
            getattr(method, "__func__", method), ()
        )
    }
    assert {one for one in own if one[2].startswith("after_")} == {
        *seams.OVN_ROUTER_PLUGIN_SUBSCRIPTIONS,
        ("_port_update", resources.PORT, events.AFTER_UPDATE),
    }
    source = inspect.getsource(ovn_l3.OVNL3RouterPlugin._port_update)
    assert "event == events.BEFORE_UPDATE and" in source
    assert "_ovn_client" not in source


def test_every_subscription_of_ovn_trunks_is_lifted_or_kept_on_purpose(callbacks):
    driver_class = trunk_driver.OVNTrunkDriver
    driver = driver_class.__new__(driver_class)
    driver.plugin_driver = None
    ovn = types.SimpleNamespace(trunk_driver=driver)
    seams.lift_ovn_trunk_subscriptions(ovn)  # no trunk plugin: no handler
    driver._handler = trunk_driver.OVNTrunkHandler(None)
    for name, resource, event in seams.OVN_TRUNK_SUBSCRIPTIONS:
        registry.subscribe(getattr(driver._handler, name), resource, event)
    registry.subscribe(driver._handler.port_updated, resources.PORT, events.AFTER_UPDATE)
    assert inspect.getsource(driver_class.register).count("registry.subscribe(") == 5
    before = subscriptions(callbacks)
    seams.lift_ovn_trunk_subscriptions(ovn)
    assert before - subscriptions(callbacks) == set(seams.OVN_TRUNK_SUBSCRIPTIONS)
    assert {name for name, _, _ in subscriptions(callbacks)} <= KEPT_BY_SERVICES


def test_another_release_of_ovn_routers_is_refused(l3_plugin):
    del l3_plugin._subnet_update
    with pytest.raises(errors.ConfigurationError, match="router plugin has no _subnet_update"):
        seams.lift_ovn_router_subscriptions(l3_plugin)


def test_core_plugin_hears_when_the_service_plugins_are_there(monkeypatch):
    calls = []
    core = types.SimpleNamespace(service_plugins_loaded=lambda: calls.append("core"))
    stock = seams._STOCK_LOAD
    monkeypatch.setattr(neutron_manager.NeutronManager, "_load_service_plugins", stock)
    monkeypatch.setattr(seams, "_STOCK_LOAD", lambda manager: calls.append(manager))
    seams.see_service_plugins_loaded()
    for plugin_found in (core, object()):  # the second one: ML2 itself, for instance
        monkeypatch.setattr(directory, "get_plugin", lambda found=plugin_found: found)
        neutron_manager.NeutronManager._load_service_plugins("manager")
    assert calls == ["manager", "core", "manager"]


class Policies:
    """A driver of QoS or logging that notes its calls."""

    def __init__(self, name):
        self.name, self.calls = name, []

    def __getattr__(self, called):
        return lambda *_: self.calls.append(called)


def test_qos_drivers_hear_of_no_change_after_the_commit():
    manager = object.__new__(driver_managers.QosDrivers)
    driver = Policies("OVNQosDriver")
    manager._drivers, manager.rpc_notifications_required = [driver], True
    for name in driver_managers.QosDrivers.AFTER_COMMIT:
        manager.call(name, None, None)
    assert driver.calls == []
    manager.rpc_notifications_required = False
    before = [f"{name}_precommit" for name in sorted(driver_managers.QosDrivers.AFTER_COMMIT)]
    for name in before:
        manager.call(name, None, None)
    assert driver.calls == before
    assert driver_managers.qos_drivers(manager) == ["OVNQosDriver"]


def test_qos_plugin_has_no_call_on_drivers_that_is_not_known_here():
    after = {name for name in qos_constants.QOS_CALL_METHODS if not name.endswith("_precommit")}
    assert after == set(driver_managers.QosDrivers.AFTER_COMMIT)


def test_logging_drivers_hear_of_no_change_after_the_commit(callbacks, monkeypatch):
    monkeypatch.setattr(
        log_manager,
        "RESOURCE_CB_CLASS_MAP",
        {resources.SECURITY_GROUP_RULE: sg_callback.SecurityGroupRuleCallBack},
    )
    manager = log_manager.LoggingServiceDriverManager()
    driver = Policies("ovn")
    driver.requires_rpc = False
    manager.register_driver(driver)
    assert len(subscriptions(callbacks)) == 3
    seams.lift_log_subscriptions()
    assert subscriptions(callbacks) == set()
    manager.__class__ = driver_managers.LogDrivers
    for name in driver_managers.LogDrivers.AFTER_COMMIT:
        manager.call(name, None, None)
    assert driver.calls == []
    before = sorted(set(log_constants.LOG_CALL_METHODS) - driver_managers.LogDrivers.AFTER_COMMIT)
    for name in before:
        manager.call(name, None, None)
    assert driver.calls == before
    assert driver_managers.log_drivers(manager) == ["ovn"]


def test_logging_plugin_has_no_call_on_drivers_that_is_not_known_here():
    calls = log_constants.LOG_CALL_METHODS
    assert {name for name in calls if not name.endswith("_precommit")} == set(
        driver_managers.LogDrivers.AFTER_COMMIT
    )


def test_other_router_providers_and_drivers_are_refused_by_name():
    refusals.refuse_router_providers(["ovn"])
    refusals.refuse_qos_drivers([])
    refusals.refuse_qos_drivers(["OVNQosDriver"])
    with pytest.raises(errors.ConfigurationError, match="service_provider mine, only ovn"):
        refusals.refuse_router_providers(["ovn", "mine"])
    with pytest.raises(errors.ConfigurationError, match="QoS driver switch, only OVNQosDriver"):
        refusals.refuse_qos_drivers(["switch", "OVNQosDriver"])
    refusals.refuse_log_drivers(["ovn"])
    with pytest.raises(errors.ConfigurationError, match="logging driver openvswitch, only ovn"):
        refusals.refuse_log_drivers(["openvswitch", "ovn"])


def test_zones_of_a_router_are_the_hints_of_its_row(l3_plugin):
    seams.read_router_zones_from_the_database(l3_plugin)
    zones = l3_plugin.get_router_availability_zones
    assert zones({"extra_attributes": {"availability_zone_hints": '["az1"]'}}) == ["az1"]
    assert zones({"extra_attributes": None}) == []
