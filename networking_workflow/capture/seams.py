# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Seams: the places where nothing short of a patch or a private name lets us in, one a function.

Each names the upstream file it stands in for. ``tests/unit/capture/test_seams.py`` fails when one
of those files changes, so that the seam is looked at again.
"""

import os
import types
import typing

import sqlalchemy as sa
from neutron import manager as neutron_manager
from neutron.api import extensions
from neutron.plugins.ml2.drivers.ovn.mech_driver import mech_driver
from neutron.plugins.ml2.drivers.ovn.mech_driver.ovsdb import ovsdb_monitor
from neutron.services.logapi.drivers import manager as log_manager
from neutron.services.portforwarding import constants as pf_constants
from neutron_lib.api.validators import availability_zone
from neutron_lib.callbacks import events, registry, resources
from neutron_lib.db import api as db_api
from neutron_lib.plugins import directory
from oslo_config import cfg
from oslo_db import options as db_options

from networking_workflow.journal import engine as journal_engine
from networking_workflow.model import errors

#: How long a SQLite writer waits for the one before it, in milliseconds.
SQLITE_BUSY_TIMEOUT_MS = 60_000

#: Idle connections of one engine; there may be more at a time.
SQLITE_CONNECTIONS = 8

#: Marks the URL that readers use; the value is pysqlite's own default.
_READER_MARK = {"detect_types": "0"}

#: (attribute of OVN's mechanism driver, resource, event) of every subscription that programs OVN
#: for a covered kind. Stands for ``OVNMechanismDriver.subscribe`` in
#: ``neutron/plugins/ml2/drivers/ovn/mech_driver/mech_driver.py``.
OVN_SUBSCRIPTIONS: tuple[tuple[str, str, str], ...] = (
    ("_create_security_group", resources.SECURITY_GROUP, events.AFTER_CREATE),
    ("_update_security_group", resources.SECURITY_GROUP, events.AFTER_UPDATE),
    ("_delete_security_group", resources.SECURITY_GROUP, events.AFTER_DELETE),
    ("_delete_security_group_precommit", resources.SECURITY_GROUP, events.PRECOMMIT_DELETE),
    ("_process_sg_rule_notification", resources.SECURITY_GROUP_RULE, events.AFTER_CREATE),
    ("_process_sg_rule_notification", resources.SECURITY_GROUP_RULE, events.BEFORE_DELETE),
    ("_process_ag_notification", resources.ADDRESS_GROUP, events.AFTER_CREATE),
    ("_process_ag_notification", resources.ADDRESS_GROUP, events.AFTER_UPDATE),
    ("_process_ag_notification", resources.ADDRESS_GROUP, events.AFTER_DELETE),
    ("create_segment_provnet_port", resources.SEGMENT, events.AFTER_CREATE),
    ("delete_segment_provnet_port", resources.SEGMENT, events.AFTER_DELETE),
)


def lift_ovn_subscriptions(driver: typing.Any) -> None:
    """Unsubscribe what programs OVN directly; ``driver`` is OVN's mechanism driver, initialised.

    Needed in every process that loads the plugin. Subscriptions are found by name and receiver, so
    a driver that never subscribed (no security groups configured) is no error.

    :raises ConfigurationError: if the driver lacks one of the receivers: another Neutron release.
    """
    _lift("mechanism driver", driver, OVN_SUBSCRIPTIONS)


#: As :data:`OVN_SUBSCRIPTIONS`, of OVN's provider of routers. Stands for the ``registry.receives``
#: of ``OvnDriver`` in ``neutron/services/ovn_l3/service_providers/ovn.py``. Those that run before
#: the commit stay, and two more: ``_process_portforwarding_create`` writes Neutron's database only,
#: ``_process_floatingip_status_update`` hears of what a conductor's driver itself publishes.
OVN_ROUTER_SUBSCRIPTIONS: tuple[tuple[str, str, str], ...] = (
    ("_process_router_create", resources.ROUTER, events.AFTER_CREATE),
    ("_process_router_update", resources.ROUTER, events.AFTER_UPDATE),
    ("_process_router_delete", resources.ROUTER, events.AFTER_DELETE),
    ("_process_add_router_interface", resources.ROUTER_INTERFACE, events.AFTER_CREATE),
    ("_process_remove_router_interface", resources.ROUTER_INTERFACE, events.AFTER_DELETE),
    ("_process_floatingip_create", resources.FLOATING_IP, events.AFTER_CREATE),
    ("_process_floatingip_update", resources.FLOATING_IP, events.AFTER_UPDATE),
    ("_process_floatingip_delete", resources.FLOATING_IP, events.AFTER_DELETE),
)

#: Of OVN's router plugin, ``neutron/services/ovn_l3/plugin.py``: a changed gateway address of an
#: external subnet goes to the routers there. ``_port_update`` decides the answer and stays.
OVN_ROUTER_PLUGIN_SUBSCRIPTIONS = (("_subnet_update", resources.SUBNET, events.AFTER_UPDATE),)

#: Of OVN's port forwarding, ``OVNPortForwarding.register`` in
#: ``neutron/services/portforwarding/drivers/ovn/driver.py``.
OVN_PORT_FORWARDING_SUBSCRIPTIONS: tuple[tuple[str, str, str], ...] = (
    ("_handle_notification", pf_constants.PORT_FORWARDING, events.AFTER_CREATE),
    ("_handle_notification", pf_constants.PORT_FORWARDING, events.AFTER_UPDATE),
    ("_handle_notification", pf_constants.PORT_FORWARDING, events.AFTER_DELETE),
    ("_handle_lb_on_ls", resources.ROUTER_INTERFACE, events.AFTER_CREATE),
    ("_handle_lb_on_ls", resources.ROUTER_INTERFACE, events.AFTER_DELETE),
)

#: Of OVN's trunks, ``OVNTrunkDriver.register`` in
#: ``neutron/services/trunk/drivers/ovn/trunk_driver.py``. ``port_updated`` writes the trunk's
#: status, which is the backend's answer, and stays.
OVN_TRUNK_SUBSCRIPTIONS: tuple[tuple[str, str, str], ...] = (
    ("trunk_created", resources.TRUNK, events.AFTER_CREATE),
    ("trunk_deleted", resources.TRUNK, events.AFTER_DELETE),
    ("subports_added", resources.SUBPORTS, events.AFTER_CREATE),
    ("subports_deleted", resources.SUBPORTS, events.AFTER_DELETE),
)


def lift_ovn_router_subscriptions(l3_plugin: typing.Any) -> None:
    """Unsubscribe what programs OVN after changes of routers and what belongs to them.

    ``l3_plugin`` is OVN's, with every service plugin loaded.

    :raises ConfigurationError: as :func:`lift_ovn_subscriptions`.
    """
    provider = l3_plugin.l3_driver_controller.drivers["ovn"]
    _lift("router provider", provider, OVN_ROUTER_SUBSCRIPTIONS)
    _lift("router plugin", l3_plugin, OVN_ROUTER_PLUGIN_SUBSCRIPTIONS)
    _lift("port forwarding", l3_plugin.port_forwarding, OVN_PORT_FORWARDING_SUBSCRIPTIONS)


def lift_ovn_trunk_subscriptions(driver: typing.Any) -> None:
    """Unsubscribe what programs OVN after changes of trunks, with every service plugin loaded.

    ``driver`` is the mechanism driver; it has no handler where no trunk plugin was loaded.

    :raises ConfigurationError: as :func:`lift_ovn_subscriptions`.
    """
    handler = getattr(driver.trunk_driver, "_handler", None)
    if handler is not None:
        _lift("trunk handler", handler, OVN_TRUNK_SUBSCRIPTIONS)


def lift_log_subscriptions() -> None:
    """Unsubscribe what tells drivers of the logging plugin that a rule has changed.

    Stands for ``ResourceCallBackBase.__init__`` in ``neutron/services/logapi/drivers/manager.py``,
    which keeps the stock manager's own ``call``: no other class of the manager can stop it. To be
    called when the service plugins are loaded.

    :raises ConfigurationError: as :func:`lift_ovn_subscriptions`.
    """
    after = (events.AFTER_CREATE, events.AFTER_UPDATE, events.AFTER_DELETE)
    for resource, callback in log_manager.RESOURCE_CB_CLASS_MAP.items():
        receiver = getattr(callback, "_instance", None)
        if receiver is not None:
            _lift("logging", receiver, [("handle_event", resource, event) for event in after])


def _lift(
    what: str, receiver_of: typing.Any, subscriptions: typing.Iterable[tuple[str, str, str]]
) -> None:
    for name, resource, event in subscriptions:
        receiver = getattr(receiver_of, name, None)
        if receiver is None:
            raise errors.ConfigurationError(
                f"OVN's {what} has no {name}: this Neutron release is not supported. "
                "Install the Neutron release that networking-workflow's requirements name."
            )
        registry.unsubscribe(receiver, resource, event)


_STOCK_LOAD = neutron_manager.NeutronManager._load_service_plugins


def see_service_plugins_loaded() -> None:
    """Let the core plugin know when Neutron has loaded the service plugins, in any process.

    Stands in for ``NeutronManager._load_service_plugins`` in ``neutron/manager.py``. They come
    after the core plugin and subscribe while they are made; ``PROCESS BEFORE_SPAWN``, the event
    that follows, is published by API processes only. A core plugin without a method
    ``service_plugins_loaded`` is not called.
    """
    neutron_manager.NeutronManager._load_service_plugins = _load_service_plugins


def _load_service_plugins(manager: typing.Any) -> None:
    _STOCK_LOAD(manager)
    loaded = getattr(directory.get_plugin(), "service_plugins_loaded", None)
    if loaded is not None:
        loaded()


_STOCK_MIDDLEWARE = extensions.ExtensionMiddleware


def see_every_request() -> None:
    """Let the core plugin put a WSGI application around all that Neutron's API answers.

    Stands in for the class that ``plugin_aware_extension_middleware_factory`` in
    ``neutron/api/extensions.py`` looks up when it is called, with the plugin loaded. Hooks of pecan
    see networks, subnets and ports only: what extensions bring is answered before it. A core plugin
    without a method ``around_api`` is not asked.
    """
    extensions.ExtensionMiddleware = _extension_middleware


def _extension_middleware(application: typing.Any, ext_mgr: typing.Any = None) -> typing.Any:
    stock = _STOCK_MIDDLEWARE(application, ext_mgr=ext_mgr)
    around = getattr(directory.get_plugin(), "around_api", None)
    return stock if around is None else around(stock)


#: What OVN's driver goes on receiving after a commit: it writes Neutron's database only.
KEPT_RECEIVERS = frozenset({"_add_segment_host_mapping_for_segment"})

_COVERED_RESOURCES = (
    *(resources.NETWORK, resources.SUBNET, resources.PORT, resources.SEGMENT),
    *(resources.SECURITY_GROUP, resources.SECURITY_GROUP_RULE, resources.ADDRESS_GROUP),
)


def receivers_after_commit(driver: typing.Any) -> list[str]:
    """Return which methods of a mechanism driver still hear of changes of covered resources.

    Reads ``CallbacksManager._callbacks`` of ``neutron_lib/callbacks/manager.py``: nothing public
    lists subscriptions.
    """
    found = set()
    for resource in _COVERED_RESOURCES:
        by_event = registry._get_callback_manager()._callbacks.get(resource, {})
        for event in (events.AFTER_CREATE, events.AFTER_UPDATE, events.AFTER_DELETE):
            for priority in by_event.get(event, ()):
                for receiver in priority.pri_callbacks.values():
                    if getattr(receiver, "__self__", None) is driver:
                        found.add(receiver.__name__)
    return sorted(found - KEPT_RECEIVERS)


def queue_sqlite_writers() -> None:
    """Let writers on the configured SQLite file wait for each other instead of failing.

    To be called when the core plugin's module is imported: the plugin's constructor already opens
    the database. Does nothing for other databases, and where the database has been opened before.
    """
    cfg.CONF.register_opts(db_options.database_opts, "database")
    if cfg.CONF.database.connection:
        queue_writers(db_api.get_context_manager(), sa.make_url(cfg.CONF.database.connection))


def queue_writers(manager: typing.Any, url: sa.URL) -> None:
    """Configure an oslo.db transaction manager for the SQLite file ``url`` names.

    Stands in for ``_sqlite_emit_begin`` in ``oslo_db/sqlalchemy/engines.py``, whose deferred BEGIN
    makes a writer fail at once when another has committed since its first read. Readers get an
    engine of their own and keep the deferred BEGIN.
    """
    in_memory = url.database in (None, "", ":memory:")  # has one connection, shared by all
    if url.get_backend_name() != "sqlite" or in_memory or manager.is_started:
        return
    reader_url = url.update_query_dict(_READER_MARK)
    manager.configure(
        slave_connection=reader_url.render_as_string(hide_password=False),
        synchronous_reader=False,
    )
    manager.append_on_engine_create(
        lambda engine: prepare_sqlite(engine, immediate=engine.url != reader_url)
    )


def prepare_sqlite(engine: sa.Engine, *, immediate: bool) -> None:
    """Make an oslo.db engine of a SQLite file wait for locks, and its writers queue up front."""
    keep_sqlite_connections(engine)

    @sa.event.listens_for(engine, "connect")
    def pragmas(connection: typing.Any, _record: typing.Any) -> None:
        connection.execute(f"PRAGMA busy_timeout={SQLITE_BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute(f"PRAGMA mmap_size={journal_engine.SQLITE_MMAP_BYTES}")

    if not immediate:
        return

    # oslo.db's own BEGIN cannot be replaced by another "begin" listener: SQLAlchemy drops the
    # order of those. So its statement is rewritten on the way out.
    @sa.event.listens_for(engine, "before_cursor_execute", retval=True)
    def begin_immediate(
        _connection: typing.Any,
        _cursor: typing.Any,
        statement: str,
        parameters: typing.Any,
        _context: typing.Any,
        _executemany: bool,
    ) -> tuple[str, typing.Any]:
        return ("BEGIN IMMEDIATE" if statement == "BEGIN" else statement), parameters


def keep_sqlite_connections(engine: sa.Engine) -> None:
    """Let an oslo.db engine of a SQLite file use its connections again.

    Stands in for ``_init_connection_args`` in ``oslo_db/sqlalchemy/engines.py``, whose ``NullPool``
    lets each of the dozens of transactions of an API call open the file, read the schema of 250
    tables, and empty the write-ahead log when it closes. A forked process opens its own.
    """
    stock = engine.pool
    engine.pool = sa.QueuePool(
        stock._creator,
        pool_size=SQLITE_CONNECTIONS,
        max_overflow=-1,
        dialect=engine.dialect,
        _dispatch=stock.dispatch,
    )

    @sa.event.listens_for(engine, "connect")
    def mark(_connection: typing.Any, record: typing.Any) -> None:
        record.info["pid"] = os.getpid()

    @sa.event.listens_for(engine, "checkout")
    def refuse_inherited(_connection: typing.Any, record: typing.Any, proxy: typing.Any) -> None:
        if record.info["pid"] != os.getpid():
            record.dbapi_connection = proxy.dbapi_connection = None
            raise sa.exc.DisconnectionError("It belongs to the process that forked this one.")


def keep_ovn_heartbeats_off_the_event_thread() -> None:
    """Leave the heart-beats of OVN's hash ring to their own periodic thread, on SQLite only.

    Stands in for the ``touch_node`` of ``OvnIdlDistributedLock.notify`` in
    ``neutron/plugins/ml2/drivers/ovn/mech_driver/ovsdb/ovsdb_monitor.py``. It writes the database
    while the thread holds the lock of the OVSDB connection. An API call that writes and looks OVN
    up holds SQLite's only write lock and wants that one: they wait for each other until SQLite's
    busy time-out. ``HashRingHealthCheckPeriodics`` touches the same row from another thread.
    """
    url = cfg.CONF.database.connection
    if url and sa.make_url(url).get_backend_name() == "sqlite":
        ovsdb_monitor.ovn_hash_ring_db = types.SimpleNamespace(touch_node=_no_heartbeat)


def _no_heartbeat(_context: typing.Any, _node_uuid: str) -> None:
    """Do nothing."""


def read_ovn_zones_from_the_database() -> None:
    """Let a network's availability zones come from its row, not from OVN.

    Stands in for ``get_network_availability_zones`` in
    ``neutron/plugins/ml2/drivers/ovn/mech_driver/mech_driver.py``, which looks the switch up in
    every call that makes a network's dict, inside open transactions too. The switch repeats the
    hints of the row; a look-up waits without an end while one transaction of the process is stuck
    in an outage.
    """
    mech_driver.get_network_availability_zones = _zones_of


def read_router_zones_from_the_database(l3_plugin: typing.Any) -> None:
    """Let a router's availability zones come from its row, not from OVN.

    Stands in for ``OVNL3RouterPlugin.get_router_availability_zones`` in
    ``neutron/services/ovn_l3/plugin.py``: as :func:`read_ovn_zones_from_the_database`.
    """
    l3_plugin.get_router_availability_zones = _router_zones_of


def _router_zones_of(router: typing.Any) -> list[str]:
    extra = router["extra_attributes"]
    hints: list[str] = availability_zone.convert_az_string_to_list(
        extra["availability_zone_hints"] if extra else None
    )
    return hints


def _zones_of(_plugin: typing.Any, network: typing.Any, _driver: typing.Any) -> list[str]:
    hints: list[str] = availability_zone.convert_az_string_to_list(
        network["availability_zone_hints"]
    )
    return hints
