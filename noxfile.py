# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Other releases of Neutron than ``make test`` has; see ``docs/versions.md``.

``nox --list`` names the sessions; each makes an environment of its own below ``.nox``.
"""

import pathlib
import re

import nox
import nox.command

nox.options.default_venv_backend = "venv"
nox.options.error_on_external_run = True

#: What ``make test`` installs, in ``constraints.txt``.
_CONSTRAINTS = pathlib.Path("constraints.txt")

#: What is run on an older release besides all unit tests: each kind is made, changed and deleted
#: through the API and in OVN, leaves the rows that stock of that release leaves, and keeps a
#: handful of promises.
SMALLER_SUITE = (
    "tests/contract/journal/test_migration.py",
    "tests/functional/api/test_startup.py",
    "tests/functional/capture/test_operations.py",
    "tests/functional/capture/test_transactions.py",
    "tests/functional/ovn/test_as_stock.py",
    "tests/functional/ovn/test_dns.py",
    "tests/functional/ovn/test_floatingips.py",
    "tests/functional/ovn/test_lifecycle.py",
    "tests/functional/ovn/test_other_writers.py",
    "tests/functional/ovn/test_port_forwardings.py",
    "tests/functional/ovn/test_qos.py",
    "tests/functional/ovn/test_routers.py",
    "tests/functional/ovn/test_segments.py",
    "tests/functional/ovn/test_trunks.py",
    "tests/functional/promises/test_ovn.py",
    "tests/functional/promises/test_services.py",
)


@nox.session(name="neutron-28")
def neutron_28(session: nox.Session) -> None:
    """Neutron 28: unit tests, what is reached into, tables, and a smaller functional suite."""
    session.install("--constraint", "constraints-neutron-28.txt", "--editable", ".[lab,test]")
    paths = session.posargs or ("tests/unit", *SMALLER_SUITE)
    session.run("python", "-m", "pytest", "--numprocesses", "2", "--dist", "loadfile", *paths)


@nox.session(name="neutron-newest")
def neutron_newest(session: nox.Session) -> None:
    """Newest Neutron of PyPI: says what moved of what is reached into, and of the tables."""
    project = nox.project.load_toml("pyproject.toml")["project"]
    wanted = [_without_bounds(one) for one in project["dependencies"]]
    for extra in ("lab", "test"):
        wanted += project["optional-dependencies"][extra]
    # What the newest Neutron asks for may be newer than the constraints, which then go.
    held = pathlib.Path(session.create_tmp()) / "constraints.txt"
    held.write_text("".join(_others(_CONSTRAINTS.read_text())))
    try:
        session.install("--constraint", str(held), *wanted)
    except nox.command.CommandFailed:
        session.warn("The newest Neutron asks for other versions than constraints.txt has")
        session.install(*wanted)
    session.install("--no-deps", "--editable", ".")
    # 3: something has moved, which is what is asked.
    session.run("python", "-m", "scripts.what_moved", *session.posargs, success_codes=[0, 3])


def _without_bounds(requirement: str) -> str:
    """Return a requirement on Neutron or its library without versions, any other as it is."""
    neutron = re.match(r"neutron(-lib)?(?=[<>=~!])", requirement)
    return neutron.group() if neutron else requirement


def _others(constraints: str) -> list[str]:
    """Return the lines that hold anything but Neutron and its library."""
    lines = constraints.splitlines(keepends=True)
    return [one for one in lines if not re.match(r"neutron(-lib)?==", one)]
