# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Seams: the places where nothing short of a patch or a private name lets us in, one a function.

Each names the upstream file it stands in for. ``tests/unit/capture/test_seams.py`` fails when one
of those files changes, so that the seam is looked at again.
"""

import types
import typing

import sqlalchemy as sa
from neutron.plugins.ml2.drivers.ovn.mech_driver import mech_driver
from neutron.plugins.ml2.drivers.ovn.mech_driver.ovsdb import ovsdb_monitor
from neutron_lib.api.validators import availability_zone
from neutron_lib.callbacks import events, registry, resources
from neutron_lib.db import api as db_api
from oslo_config import cfg
from oslo_db import options as db_options

from networking_workflow.model import errors

#: How long a SQLite writer waits for the one before it, in milliseconds.
SQLITE_BUSY_TIMEOUT_MS = 60_000

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
    for name, resource, event in OVN_SUBSCRIPTIONS:
        receiver = getattr(driver, name, None)
        if receiver is None:
            raise errors.ConfigurationError(
                f"OVN's mechanism driver has no {name}: this Neutron release is not supported. "
                "Install the Neutron release that networking-workflow's requirements name."
            )
        registry.unsubscribe(receiver, resource, event)


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

    @sa.event.listens_for(engine, "connect")
    def pragmas(connection: typing.Any, _record: typing.Any) -> None:
        connection.execute(f"PRAGMA busy_timeout={SQLITE_BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

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


def _zones_of(_plugin: typing.Any, network: typing.Any, _driver: typing.Any) -> list[str]:
    hints: list[str] = availability_zone.convert_az_string_to_list(
        network["availability_zone_hints"]
    )
    return hints
