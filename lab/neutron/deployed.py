# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Neutron's processes as a deployment starts them: by the servers' own programs.

``NeutronApi`` is for tests of everything else: one worker, which ends with its server.
"""

import os
import pathlib
import sys

from lab.neutron import config, running

#: Arguments of gunicorn; the address comes with them.
GUNICORN = (
    *("--config", "python:networking_workflow.cmd.gunicorn_settings"),
    *("--workers", "2", "--threads", "4", "--timeout", "0"),
)

#: Options of uWSGI; the address comes with them. SIGTERM means "reload" without the hook; with
#: ``die-on-term`` it ends a worker in the middle of a request, and then calls no ``atexit``.
#: It closes a connection after each answer: a client that is not told so loses its next request.
UWSGI = (
    *("--master", "--processes", "2", "--threads", "4", "--enable-threads"),
    *("--module", "neutron.wsgi.api:application", "--lazy-apps", "--need-app"),
    *("--hook-master-start", "unix_signal:15 gracefully_kill_them_all", "--thunder-lock"),
    *("--add-header", "Connection: close"),
)


class DeployedApi(running.NeutronApi):
    """neutron-api with two worker processes.

    :param server: ``gunicorn`` or ``uwsgi``.
    """

    def __init__(
        self, deployment: config.Deployment, server: str, *, host: str | None = None
    ) -> None:
        super().__init__(deployment, host=host)
        self.server = server

    @property
    def worker_pids(self) -> list[int]:
        """Return the ids of the processes that serve requests.

        :raises LabError: if the server does not run.
        """
        children = pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [int(child) for child in children]

    def _argv(self) -> list[str]:
        program = str(pathlib.Path(sys.executable).parent / self.server)
        address = f"127.0.0.1:{self.port}"
        if self.server == "gunicorn":
            return [sys.executable, program, *GUNICORN, "--bind", address]
        return [program, "--http-socket", address, *UWSGI]

    def _environment(self) -> dict[str, str]:
        environment = super()._environment()
        del environment["ASGI_WORKERS"]  # the servers' settings see to it
        environment["PATH"] = os.pathsep.join(
            (str(pathlib.Path(sys.executable).parent), "/usr/bin", "/bin")
        )
        # uWSGI embeds an interpreter, and finds the packages of a virtual environment by this.
        environment["VIRTUAL_ENV"] = sys.prefix
        return environment


class Beside(running._NeutronProcess):
    """A process of Neutron beside the API, with workers of its own.

    :param program: ``neutron-rpc-server``, ``neutron-periodic-workers`` or
        ``neutron-ovn-maintenance-worker``.
    :param says: what it logs when it has begun.
    """

    kind = "beside"

    def __init__(self, deployment: config.Deployment, program: str, *, says: str) -> None:
        super().__init__(deployment)
        self.program, self.says = program, says

    def ready(self) -> bool:
        """Return whether it has logged that it has begun."""
        return self.says in self.log

    def _argv(self) -> list[str]:
        program = pathlib.Path(sys.executable).parent / self.program
        options = [word for file in self.config_files for word in ("--config-file", str(file))]
        return [sys.executable, str(program), *options]
