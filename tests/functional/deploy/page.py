# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The configuration that docs/deploy.md shows, beside the one that a test's processes read."""

import configparser
import pathlib
import re
import typing

PAGE = pathlib.Path(__file__).resolve().parents[3] / "docs" / "deploy.md"

#: ``{(section, option): value}``
Options = dict[tuple[str, str], str]

#: Addresses, names and folders: each machine has its own.
OF_THE_MACHINE = {
    ("DEFAULT", "host"),
    ("DEFAULT", "state_path"),
    ("database", "connection"),
    ("oslo_concurrency", "lock_path"),
    ("ovn", "ovn_nb_connection"),
    ("ovn", "ovn_sb_connection"),
}

#: What a test sets and the page does not show: there is no Keystone, RabbitMQ, Nova or quota, a
#: lost conductor is given up sooner, and OVN later.
OF_THE_TESTS = {
    *(("DEFAULT", name) for name in ("auth_strategy", "api_paste_config", "transport_url")),
    *(("DEFAULT", f"notify_nova_on_port_{what}_changes") for what in ("status", "data")),
    ("DEFAULT", "default_log_levels"),
    ("oslo_messaging_notifications", "driver"),
    ("oslo_policy", "policy_file"),
    *(("DEFAULT", name) for name in ("rpc_workers", "rpc_state_report_workers")),
    *(("workflow", name) for name in ("lease_s", "chores_s", "probe_s", "ovsdb_timeout_s")),
    ("ml2_type_flat", "flat_networks"),
    ("ml2_type_vlan", "network_vlan_ranges"),
    ("securitygroup", "enable_security_group"),
    ("ovn", "ovsdb_connection_timeout"),
}


def shown(*titles: str) -> Options:
    """Return the options in the files of these sections of the page; later ones win."""
    sections = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)
    options: Options = {}
    for title in titles:
        (section,) = [one for one in sections if one.startswith(f"{title}\n")]
        for block in re.findall(r"^```ini\n(.*?)^```", section, re.MULTILINE | re.DOTALL):
            options |= _options(block)
    return {key: value for key, value in options.items() if key[0] != "Service"}  # a unit's


def written(files: typing.Iterable[pathlib.Path]) -> Options:
    """Return the options that a process reads from its files."""
    options: Options = {}
    for file in files:
        options |= _options(file.read_text())
    return {key: value for key, value in options.items() if key[0] != "quotas"}


def differences(of_the_page: Options, of_the_process: Options) -> list[str]:
    """Return in words what one says and the other does not."""
    found = [
        f"{key}: the page has {value!r}, the process {of_the_process.get(key)!r}"
        for key, value in of_the_page.items()
        if key not in of_the_process or (key not in OF_THE_MACHINE and of_the_process[key] != value)
    ]
    more = of_the_process.keys() - of_the_page.keys() - OF_THE_TESTS - OF_THE_MACHINE
    return found + [f"{key} is not on the page" for key in sorted(more)]


class _Parser(configparser.RawConfigParser):
    """Reads oslo.config's files: names as they are, no interpolation, [DEFAULT] like any other."""

    def __init__(self) -> None:
        super().__init__(delimiters=("=",), default_section="none")

    def optionxform(self, optionstr: str) -> str:
        return optionstr


def _options(text: str) -> Options:
    parser = _Parser()
    parser.read_string(text)
    return {
        (section, name): value
        for section in parser.sections()
        for name, value in parser.items(section)
    }
