# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What an error of ovsdbapp, python ovs, Neutron or its database means for a workflow."""

import json

from neutron.common.ovn import exceptions as ovn_exceptions
from neutron.db import ovn_revision_numbers_db as revisions
from neutron.plugins.ml2.drivers.ovn.mech_driver.ovsdb import impl_idl_ovn
from neutron_lib import exceptions as n_exc
from oslo_db import exception as db_exc
from ovsdbapp import exceptions as app_exceptions
from ovsdbapp.backend.ovs_idl import idlutils
from sqlalchemy import exc as sa_exc

from networking_workflow.drivers.ovn import idls
from networking_workflow.model import errors, failures

#: Nobody answers; the connection is of no use any more.
UNREACHABLE = (
    app_exceptions.TimeoutException,
    app_exceptions.OvsdbConnectionUnavailable,
    impl_idl_ovn.OvsdbConnectionUnavailable,
    idls.ConnectionDropped,
    idls.CopyBusy,
)

#: Everything that a call of ``OVNClient`` or of the plugin was seen to raise. AssertionError,
#: AttributeError and KeyError come from rows of python ovs that another transaction deletes while
#: they are read.
EXPECTED = (
    RuntimeError,
    AssertionError,
    AttributeError,
    KeyError,
    n_exc.NeutronException,
    db_exc.DBError,
    sa_exc.SQLAlchemyError,
)

#: The row was deleted while it was worked on; its delete comes next.
GONE = (n_exc.NotFound, revisions.StandardAttributeIDNotFound)

#: What ovsdb-server says of a transaction that it will refuse every time (RFC 7047, section 3.1).
_REFUSED = {
    "constraint violation",
    "domain error",
    "duplicate uuid",
    "duplicate uuid-name",
    "range error",
    "syntax error",
    "unknown column",
    "unknown database",
    "unknown table",
}

_OVSDB_PREFIX = "OVSDB Error: "


def classify(failed: Exception) -> errors.DriverError:
    """Return what ``failed``, one of :data:`EXPECTED`, means."""
    if isinstance(failed, UNREACHABLE) or "transaction timed out" in str(failed):
        return errors.BackendUnreachable(f"The OVN Northbound database does not answer: {failed}")
    text = f"{type(failed).__name__}: {failed}"
    if isinstance(failed, n_exc.ServiceUnavailable | ovn_exceptions.RevisionConflict):
        return errors.TransientFailure(text)
    if isinstance(failed, n_exc.NeutronException):
        return errors.PermanentFailure(text, failures.FailureCode.DRIVER_ERROR)
    if isinstance(failed, idlutils.RowNotFound) or not isinstance(failed, RuntimeError):
        return errors.TransientFailure(text)
    if ovsdb_error(failed) in _REFUSED:
        return errors.PermanentFailure(text)
    return errors.TransientFailure(text)


def ovsdb_error(failed: Exception) -> str:
    """Return the ``error`` member of what ovsdb-server said; "" if it is not from there."""
    text = str(failed)
    if not text.startswith(_OVSDB_PREFIX):
        return ""
    try:
        said = json.loads(text.removeprefix(_OVSDB_PREFIX))
    except ValueError:
        return ""
    return str(said.get("error", "")) if isinstance(said, dict) else ""
