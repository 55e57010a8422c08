# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A Galera cluster of two MariaDB nodes on this machine, both written to."""

import functools
import pathlib
import re
import typing

import pymysql

from lab import processes, waiting
from lab.databases import mariadb, server

START_DEADLINE_S = 120.0
PROVIDER = pathlib.Path("/usr/lib/galera/libgalera_smm.so")


class Galera(server.Server):
    """Two nodes; ``create_database`` returns the URL at each.

    The first node weighs more than the second, so that the first goes on when the second is
    killed. The other way round the second refuses queries, for lack of a quorum.
    """

    kind = "galera"

    def __init__(self, *, durable: bool = True, options: typing.Sequence[str] = ()) -> None:
        self.durable = durable
        self.options = list(options)
        self._nodes: list[mariadb.Node] = []

    @property
    def nodes(self) -> list[mariadb.Node]:
        """Return both nodes, the one that bootstraps first.

        :raises LabError: before ``start`` and after ``close``.
        """
        if not self._nodes:
            raise processes.LabError("Galera() was not started, or is closed")
        return self._nodes

    def start(self) -> None:
        if not self._nodes:
            self._nodes = _new_nodes(self.durable, self.options)
        for node in self._nodes:
            node.initialise()
        # The one with the last commit: a node that was killed may not have applied it yet.
        first, second = sorted(self._nodes, key=_position, reverse=True)
        # After a stop (or a crash of both) Galera wants to be told which node was the last one.
        _replace_in(first.data / "grastate.dat", "safe_to_bootstrap: 0", "safe_to_bootstrap: 1")
        first.launch(["--wsrep-new-cluster"])
        first.wait_ready(lambda: is_ready(first, 1), START_DEADLINE_S)
        second.launch()
        for node in (second, first):  # what keeps the second from joining is in its own log
            node.wait_ready(functools.partial(is_ready, node, 2), START_DEADLINE_S)

    def start_node(self, number: int) -> None:
        """Let a node that was stopped or killed join again; the other one must run."""
        node = self.nodes[number]
        node.launch()
        node.wait_ready(lambda: is_ready(node, 2), START_DEADLINE_S)

    def stop(self) -> None:
        for node in reversed(self.nodes):
            node.stop()

    def kill(self) -> None:
        for node in self.nodes:
            node.kill()

    def create_database(self, name: str) -> list[str]:
        first, second = self.nodes
        first.query(mariadb.CREATE_DATABASE.format(name=server.checked_name(name)))
        waiting.wait_until(
            lambda: second.query(f"SHOW DATABASES LIKE '{name}'"),
            START_DEADLINE_S,
            f"database {name} on the second node",
        )
        return [node.url(name) for node in self.nodes]

    def drop_database(self, name: str) -> None:
        self.disconnect_others(name)
        self.nodes[0].query(f"DROP DATABASE IF EXISTS {server.checked_name(name)}")

    def disconnect_others(self, name: str) -> None:
        for node in self.nodes:
            node.disconnect_others(server.checked_name(name))

    def close(self) -> None:
        for node in self._nodes:
            node.close()
        self._nodes = []


def _new_nodes(durable: bool, options: list[str]) -> list[mariadb.Node]:
    processes.find_program("mariadbd", package="mariadb-server")
    processes.find_program("rsync", package="rsync")
    if not PROVIDER.exists():
        raise processes.MissingProgram(str(PROVIDER), "galera-4")
    ports = [processes.free_port() for _ in range(6)]
    groups = ports[:2]
    return [
        mariadb.Node(
            f"galera{index + 1}",
            durable=durable,
            options=[
                "--wsrep-on=ON",
                f"--wsrep-provider={PROVIDER}",
                # Of its own: on a port that another cluster has left, no two may grow together.
                f"--wsrep-cluster-name=lab-{groups[0]}",
                "--wsrep-cluster-address="
                + "gcomm://"
                + ",".join(f"127.0.0.1:{port}" for port in groups),
                f"--wsrep-node-name=node{index + 1}",
                "--wsrep-node-address=127.0.0.1",
                "--wsrep-sst-method=rsync",
                f"--wsrep-sst-receive-address=127.0.0.1:{ports[2 + index]}",
                "--wsrep-provider-options="
                f"base_host=127.0.0.1;base_port={groups[index]};"
                f"gmcast.listen_addr=tcp://127.0.0.1:{groups[index]};"
                f"ist.recv_addr=127.0.0.1:{ports[4 + index]};"
                f"pc.weight={2 - index};gcache.size=64M;evs.suspect_timeout=PT3S",
                "--wsrep-slave-threads=2",
                "--binlog-format=ROW",
                "--innodb-autoinc-lock-mode=2",
                *options,
            ],
        )
        for index in range(2)
    ]


def is_ready(node: mariadb.Node, size: int) -> bool:
    """Return whether a node takes queries as a synced member of a cluster of ``size``."""
    try:
        status = {
            str(name): str(value)
            for name, value in node.query(
                "SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_ready', 'wsrep_cluster_size',"
                " 'wsrep_local_state_comment')"
            )
        }
    except pymysql.err.OperationalError:
        return False
    return status == {
        "wsrep_ready": "ON",
        "wsrep_cluster_size": str(size),
        "wsrep_local_state_comment": "Synced",
    }


def _position(node: mariadb.Node) -> int:
    """Return the number of the last transaction in a stopped node's data; -1 in new data."""
    state = node.data / "grastate.dat"
    if not state.exists():
        return -1
    stopped_at = re.search(r"^seqno:\s*(-?\d+)$", state.read_text(), re.MULTILINE)
    if stopped_at is not None and int(stopped_at[1]) >= 0:
        return int(stopped_at[1])
    # It was killed. The server says where its data ends, and exits.
    said = node.folder.run(node.command(["--wsrep-recover"]))
    recovered = re.search(r"Recovered position: [0-9a-f-]{36}:(-?\d+)", said)
    return -1 if recovered is None else int(recovered[1])


def _replace_in(path: pathlib.Path, old: str, new: str) -> None:
    if path.exists():
        path.write_text(path.read_text().replace(old, new))
