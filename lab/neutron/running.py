# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""neutron-api and neutron-workflow-conductor as processes."""

import abc
import functools
import http.client
import os
import pathlib
import sys
import typing
import urllib.request

import sqlalchemy as sa

from lab import processes
from lab.databases import pool
from lab.neutron import config, forks

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]

START_DEADLINE_S = 120.0

#: What forks programs that are started, where somebody has said so: tests, which start many.
FORKS: forks.Forks | None = None


class _NeutronProcess(abc.ABC):
    """A process of one deployment, with a host name of its own. ``with`` starts and stops it."""

    kind: typing.ClassVar[str]

    def __init__(self, deployment: config.Deployment, *, host: str | None = None) -> None:
        self.deployment = deployment
        self.host = host if host is not None else deployment.free_host(self.kind)
        self.config_files = deployment.config_files(self.host)
        self.log_path = deployment.path / f"{self.host}.log"
        self.process: processes.Process | None = None

    @property
    def pid(self) -> int:
        """Return the id of the process (group).

        :raises LabError: if it does not run.
        """
        return self._running().pid

    @property
    def exit_code(self) -> int | None:
        """Return how it ended by itself; ``None`` while it runs.

        :raises LabError: if it was not started, or was stopped by this object.
        """
        return self._running().exit_code

    @property
    def log(self) -> str:
        """Return everything it has logged, in all its runs."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def start(self, *, deadline_s: float = START_DEADLINE_S) -> None:
        """Start it and return when it is ready.

        :raises LabError: if it ends instead; the text has its exit code and the end of its log.
        """
        self.launch()
        self.wait_ready(deadline_s=deadline_s)

    def launch(self) -> None:
        """Start it without waiting."""
        make: typing.Callable[..., processes.Process] = processes.Process
        if FORKS is not None:
            make = functools.partial(forks.ForkedProcess, FORKS)
        self.process = make(
            f"{self.kind} {self.host}",
            self._argv(),
            folder=self.deployment.folder,
            log=self.log_path,
            environment=self._environment(),
        )

    def wait_ready(self, *, deadline_s: float = START_DEADLINE_S) -> None:
        """Return when it is ready; see :meth:`start`."""
        self._running().wait_ready(self.ready, deadline_s)

    @abc.abstractmethod
    def ready(self) -> bool:
        """Return whether it can do its work."""

    def stop(self) -> None:
        """SIGTERM, and wait until it is gone.

        :raises LabError: if it did not go by itself.
        """
        if self.process is not None:
            self.process.stop()
            self.process = None

    def terminate(self, deadline_s: float) -> int:
        """SIGTERM; return the exit code once it has ended by itself.

        :raises DeadlinePassed: if it does not end in time.
        """
        return self._running().terminate(deadline_s)

    def kill(self) -> None:
        """SIGKILL, at once and with all its children."""
        if self.process is not None:
            self.process.kill()
            self.process = None

    def pause(self) -> None:
        """Freeze all its threads (SIGSTOP)."""
        self._running().pause()

    def resume(self) -> None:
        """Let it go on (SIGCONT)."""
        self._running().resume()

    def __enter__(self) -> typing.Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.stop()
        else:
            self.kill()

    def _running(self) -> processes.Process:
        if self.process is None:
            raise processes.LabError(f"{self.host} does not run")
        return self.process

    @abc.abstractmethod
    def _argv(self) -> list[str]:
        """Return the command line."""

    def _environment(self) -> dict[str, str]:
        path = [REPOSITORY]
        if self.deployment.profile.drivers:
            # Only then: for each new path stevedore reads the metadata of all installed packages.
            path.append(self.deployment.drivers_path)
        return {
            "PYTHONPATH": os.pathsep.join(map(str, path)),
            # Neutron leaves files for "the WSGI server with this parent pid" there for ever.
            "TMPDIR": str(self.deployment.path),
            "HOME": os.environ.get("HOME", "/"),
            **{
                name: value
                for name, value in os.environ.items()
                if name.startswith("NETWORKING_WORKFLOW_")  # failpoints of crash tests
            },
        }


class NeutronApi(_NeutronProcess):
    """neutron-api under gunicorn on 127.0.0.1; the port stays the same over restarts.

    :param threads: requests at a time.
    :param environment: more environment variables.
    """

    kind = "api"

    def __init__(
        self,
        deployment: config.Deployment,
        *,
        host: str | None = None,
        threads: int = 8,
        environment: typing.Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(deployment, host=host)
        self.threads = threads
        self.environment = dict(environment or {})
        self.port = processes.free_port()

    @property
    def url(self) -> str:
        """Return the endpoint, without ``/v2.0``, as OS_ENDPOINT wants it."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def worker_pid(self) -> int:
        """Return the id of the process that serves the requests.

        :raises LabError: if it does not run.
        """
        children = pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        if len(children) != 1:
            raise processes.LabError(f"{self.host} has {len(children)} worker processes, not one")
        return int(children[0])

    def ready(self) -> bool:
        """Return whether it answers a list of networks with 200."""
        headers = {"X-User-Id": "lab", "X-Project-Id": "lab", "X-Roles": "admin"}
        request = urllib.request.Request(f"{self.url}/v2.0/networks?limit=1", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return int(answer.status) == 200
        except (OSError, http.client.HTTPException):  # not listening, or an HTTP error (OSError)
            return False

    def _argv(self) -> list[str]:
        return [
            *(sys.executable, "-m", "lab.neutron.server"),
            *("--bind", f"127.0.0.1:{self.port}", "--threads", str(self.threads)),
        ]

    def _environment(self) -> dict[str, str]:
        return {
            **super()._environment(),
            "OS_NEUTRON_CONFIG_FILES": ";".join(map(str, self.config_files)),
            # Otherwise every OVN event dies with "The Neutron API workers count is zero": only
            # uwsgi and mod_wsgi are asked for it (neutron/common/wsgi_utils.py).
            "ASGI_WORKERS": "1",
            **self.environment,
        }


class Conductor(_NeutronProcess):
    """neutron-workflow-conductor as a process of its own."""

    kind = "conductor"

    def __init__(
        self,
        deployment: config.Deployment,
        *,
        host: str | None = None,
        environment: typing.Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(deployment, host=host)
        self.environment = dict(environment or {})

    def ready(self) -> bool:
        """Return whether the journal knows it as ALIVE."""
        conductors = sa.table("workflow_conductors", sa.column("pid"), sa.column("state"))
        found = sa.select(sa.literal(1)).where(
            conductors.c.pid == self.pid, conductors.c.state == "ALIVE"
        )
        url = self.deployment.profile.database_url
        with pool.engine(url) as engine, engine.connect() as connection:
            return connection.execute(found).first() is not None

    def _argv(self) -> list[str]:
        program = pathlib.Path(sys.executable).parent / "neutron-workflow-conductor"
        options = [word for file in self.config_files for word in ("--config-file", str(file))]
        return [sys.executable, str(program), *options]

    def _environment(self) -> dict[str, str]:
        return {**super()._environment(), **self.environment}
