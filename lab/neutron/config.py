# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""neutron.conf and what belongs to it, for one deployment in a temporary folder."""

import collections.abc
import dataclasses
import pathlib
import sys
import typing

import yaml

from lab import ovn as lab_ovn
from lab import processes

Section = typing.Mapping[str, object]

#: Few numbers, because the type drivers write a row for each at the first start.
_SEGMENTATION: dict[str, Section] = {
    "ml2_type_flat": {"flat_networks": "*"},
    "ml2_type_vlan": {"network_vlan_ranges": "physnet1:100:199"},
    "ml2_type_geneve": {"vni_ranges": "1:4000", "max_header_size": 38},
}

#: What the stock pipelines say and what takes their place for tenants without a Keystone: the
#: X-User-Id, X-Project-Id and X-Roles headers are believed. For tests only.
_NOAUTH_FILTERS = "request_id fake_project_id catch_errors osprofiler extensions"
_TENANT_FILTERS = "request_id catch_errors osprofiler keystonecontext extensions"

_CORS_FILTER = "paste.filter_factory = oslo_middleware.cors:filter_factory"

#: So that a log begins with what happened, not with 300 lines about extensions and quotas.
_LOG_LEVELS = (
    *("neutron.api.extensions=ERROR", "neutron.quota=ERROR", "neutron.plugins.ml2.managers=WARN"),
    *("stevedore=CRITICAL", "sqlalchemy=WARN", "oslo.messaging=WARN", "oslo_config=ERROR"),
)

_UNLIMITED = (
    *("network", "subnet", "subnetpool", "port", "router", "floatingip", "trunk"),
    *("security_group", "security_group_rule", "address_group", "rbac_policy"),
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """Who calls."""

    user: str
    project: str
    roles: str  #: separated by commas, the implied ones included


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """What kind of Neutron; everything else is the same for all."""

    database_url: str
    core_plugin: str = "ml2"  #: "ml2" or "ml2_workflow"
    mechanism_drivers: tuple[str, ...] = ()
    service_plugins: tuple[str, ...] = ()
    extension_drivers: tuple[str, ...] = ("port_security",)
    ovn: lab_ovn.OvnCentral | None = None
    fabric_url: str | None = None
    workflow: Section = dataclasses.field(default_factory=dict)  #: options of [workflow]
    policy: typing.Mapping[str, str] = dataclasses.field(default_factory=dict)  #: policy.yaml
    tenants: bool = False  #: believe X-User-Id, X-Project-Id, X-Roles; else all are administrators
    identity: Identity | None = None  #: with ``tenants``: who sends none of these
    drivers: typing.Mapping[str, str] = dataclasses.field(default_factory=dict)
    """More mechanism drivers to choose from, ``{alias: "module:class"}``."""
    origin: str | None = None  #: of pages in browsers that may call
    options: typing.Mapping[str, Section] = dataclasses.field(default_factory=dict)
    """More options, ``{section: {option: value}}``; they win over those above."""


class Deployment:
    """The folder with the configuration that all processes of one Neutron share.

    API processes and conductors differ by ``host`` only, for which each has a small file more.
    """

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        # Short: [workflow] wakeup_dir is below it, and takes 69 bytes at most.
        self.folder = processes.Folder("neutron")
        self._hosts: set[str] = set()
        self._write()

    @property
    def path(self) -> pathlib.Path:
        """Return the folder."""
        return self.folder.path

    def close(self) -> None:
        """Delete it; its processes must have been stopped."""
        self.folder.remove()

    def __enter__(self) -> typing.Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def drivers_path(self) -> pathlib.Path:
        """Return the folder that the profile's own drivers are found in."""
        return self.path / "drivers"

    def config_files(self, host: str) -> list[pathlib.Path]:
        """Return the configuration of the process that calls itself ``host``."""
        own = self.path / f"{host}.conf"
        own.write_text(_ini({"DEFAULT": {"host": host}}))
        return [self.path / "neutron.conf", self.path / "ml2_conf.ini", own]

    def free_host(self, kind: str) -> str:
        """Return a host name that no process of this deployment has had.

        Two processes of one host would delete each other's rows in OVN's hash ring.
        """
        number = 1
        while f"{kind}{number}" in self._hosts:
            number += 1
        self._hosts.add(f"{kind}{number}")
        return f"{kind}{number}"

    def _write(self) -> None:
        here = self.path
        common, backends = _common(self.profile, here), _backends(self.profile)
        for section, options in self.profile.options.items():
            side = backends if section in backends else common
            side[section] = dict(side.get(section, {})) | dict(options)
        (here / "neutron.conf").write_text(_ini(common))
        (here / "ml2_conf.ini").write_text(_ini(backends))
        (here / "policy.yaml").write_text(yaml.safe_dump(dict(self.profile.policy)))
        (here / "api-paste.ini").write_text(_paste(self.profile))
        (here / "lock").mkdir()
        if self.profile.drivers:
            _distribute(self.profile.drivers, self.drivers_path)


def _distribute(drivers: typing.Mapping[str, str], folder: pathlib.Path) -> None:
    """Make what an installed package leaves that offers mechanism drivers."""
    metadata = folder / "lab_drivers-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-drivers\nVersion: 1.0\n")
    lines = [f"{alias} = {where}\n" for alias, where in drivers.items()]
    text = "[neutron.ml2.mechanism_drivers]\n" + "".join(lines)
    (metadata / "entry_points.txt").write_text(text)


def _common(profile: Profile, here: pathlib.Path) -> dict[str, Section]:
    return {
        "DEFAULT": {
            "core_plugin": profile.core_plugin,
            "service_plugins": ",".join(profile.service_plugins),
            "auth_strategy": "noauth",
            "api_paste_config": here / "api-paste.ini",
            "state_path": here,
            "transport_url": "fake:/",
            "default_log_levels": ",".join(_LOG_LEVELS),
            "notify_nova_on_port_status_changes": False,
            "notify_nova_on_port_data_changes": False,
        },
        "database": {"connection": profile.database_url},
        "oslo_concurrency": {"lock_path": here / "lock"},
        "oslo_messaging_notifications": {"driver": "noop"},
        "oslo_policy": {"policy_file": here / "policy.yaml"},
        "quotas": {f"quota_{name}": -1 for name in _UNLIMITED},
        "workflow": profile.workflow,
    }


def _backends(profile: Profile) -> dict[str, Section]:
    sections: dict[str, Section] = {
        "ml2": {
            "mechanism_drivers": ",".join(profile.mechanism_drivers),
            "type_drivers": "local,flat,vlan,geneve",
            "tenant_network_types": "geneve",
            "extension_drivers": ",".join(profile.extension_drivers),
        },
        **_SEGMENTATION,
        "securitygroup": {"enable_security_group": True},
    }
    if profile.ovn is not None:
        sections["ovn"] = {
            "ovn_nb_connection": profile.ovn.nb_connection,
            "ovn_sb_connection": profile.ovn.sb_connection,
            "ovn_metadata_enabled": True,
            "ovsdb_connection_timeout": 30,
        }
    if profile.fabric_url is not None:
        sections["fabric"] = {"url": profile.fabric_url}
    return sections


def _ini(sections: typing.Mapping[str, Section]) -> str:
    def lines() -> collections.abc.Iterator[str]:
        for section, options in sections.items():
            yield f"[{section}]"
            for name, value in options.items():
                yield f"{name} = {value}"
            yield ""

    return "\n".join(lines())


def _paste(profile: Profile) -> str:
    """Return Neutron's own api-paste.ini, with a believing pipeline for tenants."""
    installed = pathlib.Path(sys.prefix) / "etc" / "neutron" / "api-paste.ini"
    text = installed.read_text()
    if profile.origin is not None:
        # Neutron's middleware reads [cors] of the files in the default places only.
        text = text.replace(_CORS_FILTER, f"{_CORS_FILTER}\nallowed_origin = {profile.origin}")
    if not profile.tenants:
        return text
    if _NOAUTH_FILTERS not in text:
        raise processes.LabError(f"{installed} has no pipeline {_NOAUTH_FILTERS!r} any more")
    if profile.identity is None:
        return text.replace(_NOAUTH_FILTERS, _TENANT_FILTERS)
    name, who = "lab_identity", profile.identity
    text = text.replace(_NOAUTH_FILTERS, f"{name} {_TENANT_FILTERS}")
    return text + "\n".join(
        (
            f"\n[filter:{name}]",
            "paste.filter_factory = lab.neutron.identity:filter_factory",
            *(f"{key} = {getattr(who, key)}" for key in ("user", "project", "roles")),
            "",
        )
    )
