# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Settings for ``gunicorn --config python:networking_workflow.cmd.gunicorn_settings``.

They make a worker end in order. OVN's mechanism driver puts a handler of its own in the place of
gunicorn's for SIGTERM, which only leaves the hash ring (``_setup_hash_ring`` in
``neutron/plugins/ml2/drivers/ovn/mech_driver/mech_driver.py``): without them a worker goes on until
gunicorn kills it, and what its conductor was running waits for the end of a lease.

Everything else is the operator's, on the command line or in ``GUNICORN_CMD_ARGS``.
"""

import os
import signal
import sys
import types
import typing

wsgi_app = "neutron.wsgi.api:application"
worker_class = "gthread"
#: Longer than ``[workflow] drain_s`` by default, within which a conductor lets its work finish.
graceful_timeout = 40

if "--preload" in (*sys.argv, *os.environ.get("GUNICORN_CMD_ARGS", "").split()):
    sys.exit(
        "gunicorn loads neutron-api before it forks its workers, which OVN's connections and the "
        "conductor do not survive. Remove --preload."
    )


def post_fork(server: typing.Any, _worker: typing.Any) -> None:
    """Prepare a worker, before it loads Neutron.

    Neutron takes the command line for its own (``neutron/server/__init__.py``), and asks nobody but
    uWSGI and mod_wsgi how many workers there are (``neutron/common/wsgi_utils.py``): without the
    number every event of OVN is lost.
    """
    sys.argv = sys.argv[:1]
    os.environ.setdefault("ASGI_WORKERS", str(server.cfg.workers))


def post_worker_init(worker: typing.Any) -> None:
    """Prepare a worker that has loaded Neutron, before it serves its first request.

    SIGTERM is to do both: what Neutron's drivers want to do at it, and end the worker.
    """
    before = signal.getsignal(signal.SIGTERM)

    def stop(number: int, frame: types.FrameType | None) -> None:
        if callable(before) and before != worker.handle_exit:
            before(number, frame)
        worker.handle_exit(number, frame)

    signal.signal(signal.SIGTERM, stop)
    signal.siginterrupt(signal.SIGTERM, False)
