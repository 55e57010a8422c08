# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""neutron-api under gunicorn: one worker process with threads. Run as a module by ``NeutronApi``.

What it does beyond ``gunicorn neutron.wsgi.api:application``, each for one measured trap:
it loads the rules of policy before the first request, does what our settings for gunicorn do to a
worker, ends as a whole when the worker ends, and dies with the process that started it.
"""

import argparse
import gc
import os
import sys
import typing

import gunicorn.app.base
import gunicorn.arbiter
import gunicorn.workers.base
import gunicorn.workers.gthread

from lab import processes
from networking_workflow.cmd import gunicorn_settings


class Application(gunicorn.app.base.BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """Neutron's WSGI application with its settings for gunicorn."""

    def __init__(self, bind: str, threads: int) -> None:
        self._settings: dict[str, typing.Any] = {
            "bind": bind,
            "worker_class": "gthread",
            "workers": 1,
            "threads": threads,
            "keepalive": 75,
            "timeout": 0,  # a paused process is not a hanging one
            "graceful_timeout": 30,
            "control_socket_disable": True,
            "post_fork": _die_with_parent,
            "post_worker_init": gunicorn_settings.post_worker_init,
            "child_exit": _end_with_worker,
        }
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._settings.items():
            self.cfg.set(name, value)

    def load(self) -> typing.Any:
        sys.argv = sys.argv[:1]  # Neutron parses it as its own
        gc.disable()  # half a second of three: an import makes much and frees nothing
        from neutron import policy
        from neutron.wsgi import api

        policy.init()  # stock does in its first request, and answers 403 to a second one meanwhile
        gc.freeze()  # nothing of this is ever garbage: no collection need look at it
        gc.enable()
        return api.application


def _die_with_parent(_: object, worker: gunicorn.workers.base.Worker) -> None:
    processes.die_with(worker.ppid)


def _end_with_worker(arbiter: gunicorn.arbiter.Arbiter, _: object) -> None:
    """End when the worker has died by itself; gunicorn would start another one."""
    if arbiter.LISTENERS:  # they are gone once it is told to stop
        os._exit(1)


def main(application: type[Application] = Application) -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bind", required=True, help="<address>:<port>, or unix:<path>")
    parser.add_argument("--threads", type=int, default=8, help="requests at a time")
    arguments = parser.parse_args()
    # Kept-alive connections of clients that have gone hold up a stop for two seconds otherwise.
    gunicorn.workers.gthread.STOP_KEEPALIVE_LINGER = 0.0
    application(arguments.bind, arguments.threads).run()


if __name__ == "__main__":
    main()
