# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Child processes that never outlive this one.

Each child leads a session of its own, so that Ctrl-C reaches only us and we stop the children in
order. Should this process be killed, the kernel kills them (``PR_SET_PDEATHSIG``, set by
``setpriv`` after it has changed the user; a change of user clears it).
"""

import atexit
import contextlib
import ctypes
import os
import pathlib
import pwd
import queue
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import typing

from lab import waiting

_PR_SET_PDEATHSIG = 1

#: States of threads that run no more: stopped, or dead.
_STOPPED = frozenset({"T", "t", "Z", "X"})


class LabError(Exception):
    """A server of the lab cannot do what was asked; the text says why and what to do."""


class MissingProgram(LabError):
    """A program is not installed."""

    def __init__(self, program: str, package: str) -> None:
        self.program = program
        self.package = package
        super().__init__(
            f"{program} is not installed. As root: apt-get install {package} "
            "(scripts/install-debian test installs everything)."
        )


def find_program(name: str, *, package: str, folders: typing.Iterable[str] = ()) -> str:
    """Return the absolute path of a program, looking in ``folders`` first.

    :raises MissingProgram: if it is not there; names the Debian package that has it.
    """
    path = os.pathsep.join([*folders, os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    found = shutil.which(name, path=path)
    if found is None:
        raise MissingProgram(name, package)
    return found


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on now.

    Not one that the system gives to clients' ends of connections: between this call and the
    server's own the port could be given away.
    """
    first_of_clients = int(_CLIENTS_PORTS.read_text().split()[0])
    while True:
        port = random.randrange(_FIRST_PORT, max(first_of_clients, _FIRST_PORT + 1000))
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


_CLIENTS_PORTS = pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range")

#: Well-known services' ports are below.
_FIRST_PORT = 15000


def die_with(parent: int) -> None:
    """Let the kernel kill this process when ``parent``, which has started it, is gone."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it signals nobody whose parent died before it was asked to
        os._exit(1)


def remove_tree(path: pathlib.Path) -> None:
    """Delete a folder with all that is in it; no error if something still writes to it."""
    shutil.rmtree(path, ignore_errors=True)


#: Closes a gap: the kernel signals nobody whose parent died before it asked for the signal.
_UNLESS_ORPHANED = '[ "$PPID" = "$0" ] && exec "$@"'


class Folder:
    """A temporary folder for one server, owned by the user that runs it.

    :param user: system user to own it when we are root; otherwise we do ourselves.
    """

    def __init__(self, kind: str, user: str | None = None) -> None:
        # Short, because a unix socket's path may have 107 bytes.
        self.path = pathlib.Path(tempfile.mkdtemp(prefix=f"lab-{kind}-"))
        self.user = user if user is not None and os.geteuid() == 0 else None
        if self.user is not None:
            account = pwd.getpwnam(self.user)
            os.chown(self.path, account.pw_uid, account.pw_gid)
        _LEFT.folders.add(self)

    def remove(self) -> None:
        """Delete it with all that is in it."""
        remove_tree(self.path)
        _LEFT.folders.discard(self)

    def own(self, path: pathlib.Path) -> None:
        """Let the folder's user own a path in it, with all that is below."""
        if self.user is not None:
            account = pwd.getpwnam(self.user)
            for one in (path, *path.rglob("*")):
                os.chown(one, account.pw_uid, account.pw_gid)

    def as_user(self, argv: typing.Sequence[str]) -> list[str]:
        """Return the command that runs ``argv`` as the folder's user and dies with its parent."""
        command = [find_program("setpriv", package="util-linux"), "--pdeathsig", "KILL"]
        if self.user is not None:
            account = pwd.getpwnam(self.user)
            command += [
                f"--reuid={account.pw_uid}",
                f"--regid={account.pw_gid}",
                "--init-groups",
            ]
        return [*command, "--", "/bin/sh", "-c", _UNLESS_ORPHANED, str(os.getpid()), *argv]

    def run(self, argv: typing.Sequence[str], *, deadline_s: float = 120.0) -> str:
        """Run a command to its end as the folder's user; return what it printed.

        :raises LabError: if it exits with anything but 0; the text has its output.
        """
        done = subprocess.run(
            self.as_user(argv),
            cwd=self.path,
            env=clean_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=deadline_s,
            check=False,
        )
        if done.returncode != 0:
            raise LabError(f"{' '.join(argv)} exited with {done.returncode}:\n{done.stdout}")
        return done.stdout


def clean_environment(extra: typing.Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment that no setting of the user's shell reaches."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in {"HOME", "TMPDIR", "PATH", "USER", "LOGNAME"}
    }
    kept["PATH"] = f"{kept.get('PATH', '')}:/usr/sbin:/usr/bin:/sbin:/bin"
    kept["LC_ALL"] = "C.UTF-8"
    return kept | dict(extra or {})


class Child(typing.Protocol):
    """What is asked of ``subprocess.Popen``."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...


class Process:
    """One running child and its log file."""

    def __init__(
        self,
        name: str,
        argv: typing.Sequence[str],
        *,
        folder: Folder,
        log: pathlib.Path,
        environment: typing.Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._popen = self._start(argv, folder, clean_environment(environment))
        _LEFT.processes.add(self)

    def _start(
        self, argv: typing.Sequence[str], folder: Folder, environment: typing.Mapping[str, str]
    ) -> Child:
        with self.log.open("ab") as output:
            return _SPAWNER.spawn(
                folder.as_user(argv),
                cwd=folder.path,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Return the process id, also that of the process group."""
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """Return how it ended; ``None`` while it runs."""
        return self._popen.poll()

    def alive(self) -> bool:
        """Return whether it runs (or is paused)."""
        return self.exit_code is None

    def require_alive(self) -> None:
        """Return if it runs.

        :raises LabError: if it has ended; the text has the end of its log.
        """
        if not self.alive():
            raise LabError(f"{self.name} exited with {self.exit_code}:\n{self.log_tail()}")

    def log_tail(self, lines: int = 30) -> str:
        """Return the last lines of the log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def wait_ready(self, ready: typing.Callable[[], bool], deadline_s: float) -> None:
        """Return when ``ready()`` says so.

        :raises LabError: if the process ends instead.
        :raises lab.waiting.DeadlinePassed: if it is not ready in time.
        """

        def look() -> bool:
            self.require_alive()
            return ready()

        waiting.wait_until(
            look, deadline_s, lambda: f"{self.name} to be ready; its log:\n{self.log_tail()}"
        )

    def stop(self, *, deadline_s: float = 60.0, signal_number: int = signal.SIGTERM) -> None:
        """Ask it to end, wait for that, and kill what is left of its process group.

        :raises LabError: if it had to be killed; it is gone all the same.
        """
        stubborn = False
        if self.alive():
            self._signal(signal_number)
            self._signal(signal.SIGCONT)
            try:
                self._popen.wait(deadline_s)
            except subprocess.TimeoutExpired:
                stubborn = True
        self.kill()
        if stubborn:
            raise LabError(
                f"{self.name} (pid {self.pid}) ignored signal {signal_number} for "
                f"{deadline_s:.0f} s and was killed; its log:\n{self.log_tail()}"
            )

    def terminate(self, deadline_s: float) -> int:
        """Send SIGTERM to it alone; return the exit code once it has ended by itself.

        :raises lab.waiting.DeadlinePassed: if it does not end in time.
        """
        self._signal(signal.SIGTERM)
        waiting.wait_until(
            lambda: not self.alive(), deadline_s, lambda: f"{self.name} to end:\n{self.log_tail()}"
        )
        return self._popen.wait()

    def kill(self) -> None:
        """SIGKILL it and its process group; return when all of it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()
        waiting.wait_until(self._group_is_gone, 30.0, f"all of {self.name} to be gone")
        _LEFT.processes.discard(self)

    def pause(self) -> None:
        """Stop all its threads (SIGSTOP) until :meth:`resume`; returns when none runs any more.

        A thread on another processor may answer a request that comes after the signal.

        :raises DeadlinePassed: if one goes on.
        """
        os.killpg(self.pid, signal.SIGSTOP)
        waiting.wait_until(
            lambda: self._states() <= _STOPPED,
            30.0,
            lambda: f"{self.name} to stop; its threads are {self._states()}",
            every_s=0.001,
        )

    def _states(self) -> set[str]:
        """Return the states, as ``/proc`` has them, of all threads of its process group."""
        found = set()
        for stat in pathlib.Path("/proc").glob("[0-9]*/task/[0-9]*/stat"):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                # After the name in parentheses, which may hold anything: state, parent, group.
                state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
                if int(group) == self.pid:
                    found.add(state)
        return found

    def resume(self) -> None:
        """Let it go on (SIGCONT)."""
        os.killpg(self.pid, signal.SIGCONT)

    def _group_is_gone(self) -> bool:
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return True
        return False

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)


class _Spawner:
    """Starts children from one thread that lives as long as this process.

    The kernel's parent-death signal follows the *thread* that made the child: started from a
    short-lived thread, a server would be killed when that ends.
    """

    def __init__(self) -> None:
        self._requests: queue.SimpleQueue[
            tuple[list[str], dict[str, typing.Any], queue.SimpleQueue[typing.Any]]
        ] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread_of: int | None = None

    def spawn(self, argv: list[str], **options: typing.Any) -> "subprocess.Popen[bytes]":
        with self._lock:
            if self._thread_of != os.getpid():  # also in a forked child, which has no threads
                threading.Thread(target=self._serve, name="lab-spawner", daemon=True).start()
                self._thread_of = os.getpid()
        answer: queue.SimpleQueue[typing.Any] = queue.SimpleQueue()
        self._requests.put((argv, options, answer))
        outcome = answer.get()
        if isinstance(outcome, OSError):
            raise outcome
        return typing.cast("subprocess.Popen[bytes]", outcome)

    def _serve(self) -> None:
        while True:
            argv, options, answer = self._requests.get()
            try:
                answer.put(subprocess.Popen(argv, **options))
            except OSError as error:
                answer.put(error)


class _Left:
    """What this process must clean up when it ends, however it comes to end."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.processes: set[Process] = set()
        self.folders: set[Folder] = set()

    def clean_up(self) -> None:
        if os.getpid() != self.pid:
            return  # a fork of ours ends; the servers are its parent's
        for process in list(self.processes):
            process.kill()
        for folder in list(self.folders):
            folder.remove()


_SPAWNER = _Spawner()
_LEFT = _Left()
atexit.register(_LEFT.clean_up)
