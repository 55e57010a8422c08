# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""OVN's control plane in a temporary folder: northbound, southbound and northd, no data plane.

Only unix sockets of our own are used; the machine's OVN, if it has one, is not touched.
"""

import collections.abc
import contextlib
import json
import pathlib
import socket
import subprocess
import typing

from lab import processes

START_DEADLINE_S = 30.0
SCHEMAS = pathlib.Path("/usr/share/ovn")

#: A chassis is alive while its nb_cfg is at most one behind the northbound's; this never is.
ALWAYS_ALIVE_NB_CFG = 1_000_000_000


class Watched:
    """What a server has told of a table: one list of changed rows a transaction, the first one all.

    A row is its uuid, what happened (``initial``, ``insert``, ``delete``, ``old``, ``new``), and
    the columns. A server that is ahead of its reader may tell several transactions as one.
    """

    def __init__(self, log: pathlib.Path) -> None:
        self._log = log

    @property
    def transactions(self) -> list[list[list[typing.Any]]]:
        """Return what has come so far."""
        complete, _, _ = self._log.read_text().rpartition("\n")
        return [json.loads(line)["data"] for line in complete.splitlines()]


class OvnCentral:
    """The three OVN processes of a control node. ``with OvnCentral() as ovn: ...``.

    The databases keep their contents over ``stop`` and ``start``, until ``close``.
    """

    def __init__(self) -> None:
        self._chassis = 0
        self.folder = processes.Folder("ovn")
        self._processes: dict[str, processes.Process] = {}

    @property
    def nb_connection(self) -> str:
        """Return the northbound's address, as ``[ovn] ovn_nb_connection`` wants it."""
        return self._connection("nb")

    @property
    def sb_connection(self) -> str:
        """Return the southbound's address, as ``[ovn] ovn_sb_connection`` wants it."""
        return self._connection("sb")

    def start(self) -> None:
        """Start what does not run, and return when both databases answer."""
        self._start_database("nb")
        self._start_database("sb")
        self.nbctl("init")
        self.sbctl("init")
        self._start_northd()

    def stop(self) -> None:
        """Shut everything down; the contents stay."""
        for name in ("northd", "nb", "sb"):
            self._stop(name)

    def restart(self) -> None:
        """Shut everything down and start it again."""
        self.stop()
        self.start()

    def stop_nb(self) -> None:
        """Shut the northbound database down: every client loses its connection."""
        self._stop("nb")

    def start_nb(self) -> None:
        """Start the northbound database again, and return when it answers."""
        self._start_database("nb")
        self.nbctl("show")

    def kill_nb(self) -> None:
        """SIGKILL the northbound database."""
        process = self._processes.pop("nb", None)
        if process is not None:
            process.kill()

    def pause_nb(self) -> None:
        """Let the northbound database hang: connections stay open, nothing is answered."""
        self._processes["nb"].pause()

    def resume_nb(self) -> None:
        """End :meth:`pause_nb`."""
        self._processes["nb"].resume()

    def close(self) -> None:
        """Kill everything and delete the databases."""
        for process in self._processes.values():
            process.kill()
        self._processes.clear()
        self.folder.remove()

    def __enter__(self) -> typing.Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def nbctl(self, *arguments: str, wait_s: int = 10) -> str:
        """Run ``ovn-nbctl`` and return what it prints.

        :raises LabError: if it fails, or has no answer within ``wait_s`` seconds.
        """
        return self._control("ovn-nbctl", self.nb_connection, arguments, wait_s)

    def sbctl(self, *arguments: str, wait_s: int = 10) -> str:
        """Run ``ovn-sbctl``; see :meth:`nbctl`."""
        return self._control("ovn-sbctl", self.sb_connection, arguments, wait_s)

    def add_chassis(
        self,
        name: str,
        host: str,
        bridge_mappings: str = "physnet1:br-ex",
        *,
        gateway: bool = True,
    ) -> None:
        """Register a compute host that has no data plane; ports bound to ``host`` get vif "ovs".

        :param bridge_mappings: ``<physical network>:<bridge>``, with commas between several.
        """
        self._chassis += 1
        address = f"127.0.0.{self._chassis}"  # no two may have the same tunnel end
        config = [f'other_config:ovn-bridge-mappings="{bridge_mappings}"']
        config.append("other_config:datapath-type=system")
        if gateway:
            config.append("other_config:ovn-cms-options=enable-chassis-as-gw")
        self.sbctl(
            *("chassis-add", name, "geneve", address),
            *("--", "set", "chassis", name, f"hostname={host}", *config),
        )
        chassis = self.sbctl("--bare", "--columns=_uuid", "find", "chassis", f"name={name}").strip()
        self.sbctl(
            *("create", "Chassis_Private", f"name={name}"),
            *(f"chassis={chassis}", f"nb_cfg={ALWAYS_ALIVE_NB_CFG}"),
        )

    def remove_chassis(self, name: str) -> None:
        """Let a compute host be gone, as its ``ovn-controller`` does when it stops for good."""
        self.sbctl("chassis-del", name, "--", "--if-exists", "destroy", "Chassis_Private", name)

    def plug(self, port_id: str, chassis: str) -> None:
        """Do what a chassis does when the VM's interface comes up: Neutron sees the port ACTIVE.

        :raises LabError: if the southbound does not have the port yet.
        """
        self.sbctl("lsp-bind", port_id, chassis)

    @contextlib.contextmanager
    def watched(self, table: str, *columns: str) -> collections.abc.Iterator["Watched"]:
        """Lend what the northbound's server tells of a table from now on."""
        log = self.folder.path / f"changes-of-{table}"
        watching = processes.Process(
            "ovsdb-client",
            [
                processes.find_program("ovsdb-client", package="openvswitch-common"),
                *("--format=json", "monitor", self.nb_connection, "OVN_Northbound"),
                *(table, ",".join(columns)),
            ],
            folder=self.folder,
            log=log,
        )
        try:
            watching.wait_ready(lambda: log.stat().st_size > 0, START_DEADLINE_S)
            yield Watched(log)
        finally:
            watching.kill()

    def _connection(self, database: str) -> str:
        return f"unix:{self.folder.path / f'ovn{database}.sock'}"

    def _start_database(self, database: str) -> None:
        if database in self._processes and self._processes[database].alive():
            return
        server = processes.find_program("ovsdb-server", package="openvswitch-common")
        tool = processes.find_program("ovsdb-tool", package="openvswitch-common")
        schema = SCHEMAS / f"ovn-{database}.ovsschema"
        if not schema.exists():
            raise processes.MissingProgram(str(schema), "ovn-common")
        here = self.folder.path
        file = here / f"ovn{database}.db"
        if not file.exists():
            self.folder.run([tool, "create", str(file), str(schema)])
        listening = here / f"ovn{database}.sock"
        listening.unlink(missing_ok=True)
        self._start(
            database,
            [
                server,
                str(file),
                f"--remote=punix:{listening}",
                f"--unixctl={here / f'ovn{database}.ctl'}",
                f"--pidfile={here / f'ovn{database}.pid'}",
            ],
        )
        self._processes[database].wait_ready(lambda: _accepts(listening), START_DEADLINE_S)

    def _start_northd(self) -> None:
        if "northd" in self._processes and self._processes["northd"].alive():
            return
        northd = processes.find_program("ovn-northd", package="ovn-central")
        control = self.folder.path / "northd.ctl"
        control.unlink(missing_ok=True)
        self._start(
            "northd",
            [
                northd,
                f"--ovnnb-db={self.nb_connection}",
                f"--ovnsb-db={self.sb_connection}",
                f"--unixctl={control}",
                f"--pidfile={self.folder.path / 'northd.pid'}",
            ],
        )
        self._processes["northd"].wait_ready(control.exists, START_DEADLINE_S)

    def _start(self, name: str, argv: list[str]) -> None:
        here = str(self.folder.path)
        folders = [f"OVN_{kind}DIR" for kind in ("RUN", "LOG", "DB", "SYSCONF")]
        folders += [f"OVS_{kind}DIR" for kind in ("RUN", "LOG", "DB", "SYSCONF")]
        self._processes[name] = processes.Process(
            f"ovn {name}",
            argv,
            folder=self.folder,
            log=self.folder.path / f"{name}.log",
            environment=dict.fromkeys(folders, here),
        )

    def _stop(self, name: str) -> None:
        process = self._processes.pop(name, None)
        if process is not None:
            process.stop()

    def _control(
        self, program: str, connection: str, arguments: typing.Sequence[str], wait_s: int
    ) -> str:
        command = [processes.find_program(program, package="ovn-common")]
        command += [f"--db={connection}", "--no-leader-only", f"--timeout={wait_s}"]
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise processes.LabError(
                f"{program} {' '.join(arguments)} exited with {done.returncode}: {done.stderr}"
            )
        return done.stdout


def _accepts(path: pathlib.Path) -> bool:
    """Return whether a server listens there: the socket is in the folder a moment before."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True
