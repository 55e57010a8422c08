# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Neutron's schema and ours in a fresh database, from a template after the first time.

MariaDB and Galera get what an operator gets: ``neutron-db-manage upgrade heads`` of both projects.
Neutron's own migrations do not run on SQLite and PostgreSQL; there, :mod:`lab.neutron.new_schema`.
"""

import contextlib
import functools
import hashlib
import importlib.metadata
import pathlib
import shutil
import subprocess
import sys
import tempfile

from lab import databases, processes, templates
from lab.databases import mariadb, pool

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]

_MYSQL_OPTIONS = ("--no-defaults", "--user=root")
_DUMP_OPTIONS = ("--skip-comments", "--skip-add-drop-table", "--skip-add-locks", "--hex-blob")


def create(database: pool.Database, *, workflow: bool = True) -> None:
    """Fill a blank database with Neutron's schema, and ours unless ``workflow`` is false.

    :raises LabError: if a migration fails; the text has its output.
    """
    server = database.server
    if isinstance(server, databases.SQLite):
        file, template = server.file(database.name), _template(f"sqlite{_suffix(workflow)}.db")

        def built() -> bytes:
            _build(database, workflow=workflow)
            return file.read_bytes()

        if not templates.once(template, built):
            shutil.copyfile(template, file)
    elif isinstance(server, databases.MariaDB | databases.Galera):
        node = server.node if isinstance(server, databases.MariaDB) else server.nodes[0]
        template = _template(f"mariadb{_suffix(workflow)}.sql")

        def dumped() -> bytes:
            _build(database, workflow=workflow)
            return _dump(node, database.name)

        if not templates.once(template, dumped):
            _load(node, database.name, template)
        pool.wait_for_other_nodes(database)
    else:
        _build(database, workflow=workflow)


def installed(
    lender: pool.Pool, kind: str, *, workflow: bool = True
) -> contextlib.AbstractContextManager[pool.Database]:
    """Lend a database as after installing Neutron, and this package unless ``workflow`` is false.

    See :meth:`lab.databases.pool.Pool.filled`.
    """
    fill = functools.partial(create, workflow=workflow)
    return lender.filled(kind, "neutron" if workflow else "stock", fill)


def _suffix(workflow: bool) -> str:
    return "" if workflow else "-stock"


def _build(database: pool.Database, *, workflow: bool) -> None:
    """Make the schema the slow way: 8 to 15 s."""
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(f"[database]\nconnection = {database.url}\n")
        file.flush()
        if database.kind in {"mariadb", "galera"}:
            _manage(file.name, "neutron", "upgrade", "heads")
        else:
            _run("-m", "lab.neutron.new_schema", database.url)
            _manage(file.name, "neutron", "stamp", "heads")
        if workflow:
            _manage(file.name, "networking-workflow", "upgrade", "heads")


def _manage(config_file: str, project: str, *command: str) -> None:
    program = pathlib.Path(sys.executable).parent / "neutron-db-manage"
    _run(str(program), "--config-file", config_file, "--subproject", project, *command)


def _run(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, *arguments],
        env=processes.clean_environment({"PYTHONPATH": str(REPOSITORY)}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise processes.LabError(f"{' '.join(arguments)} failed:\n{done.stdout[-4000:]}")


def _dump(node: mariadb.Node, name: str) -> bytes:
    program = processes.find_program("mariadb-dump", package="mariadb-client")
    return subprocess.run(
        [program, *_MYSQL_OPTIONS, f"--socket={node.socket}", *_DUMP_OPTIONS, name],
        stdout=subprocess.PIPE,
        check=True,
    ).stdout


def _load(node: mariadb.Node, name: str, template: pathlib.Path) -> None:
    program = processes.find_program("mariadb", package="mariadb-client")
    with template.open("rb") as dump:
        subprocess.run(
            [program, *_MYSQL_OPTIONS, f"--socket={node.socket}", name], stdin=dump, check=True
        )


def _template(name: str) -> pathlib.Path:
    return templates.FOLDER / f"{_digest(ours='stock' not in name)}-{name}"


def _digest(*, ours: bool) -> str:
    """Return what changes with Neutron's release, our migrations, and this recipe."""
    digest = hashlib.sha256()
    for package in ("neutron", "neutron-lib", "SQLAlchemy"):
        digest.update(f"{package} {importlib.metadata.version(package)}\n".encode())
    files = [*pathlib.Path(__file__).parent.glob("*schema.py")]
    if ours:
        migration = REPOSITORY / "networking_workflow" / "journal" / "migration"
        files += [*migration.rglob("*.py"), *migration.rglob("*_HEAD")]
    for file in sorted(files):
        digest.update(str(file.relative_to(REPOSITORY)).encode() + file.read_bytes())
    return digest.hexdigest()[:16]
