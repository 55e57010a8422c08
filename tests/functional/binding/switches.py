# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Mechanism drivers that bind as a test says, and remember what they were asked and told."""

import threading
import typing

from neutron_lib.api.definitions import portbindings
from neutron_lib.plugins.ml2 import api

PATIENCE_S = 60


class Told(typing.NamedTuple):
    """One postcommit hook of a port."""

    hook: str
    host: str
    vif_type: str
    original_vif_type: str | None
    original_host: str | None


class Switch(api.MechanismDriver):
    """A switch; ``bind`` decides, and refuses every port until it is set."""

    connectivity = portbindings.CONNECTIVITY_L2

    def __init__(self, name: str) -> None:
        self.name = name
        self.reset()

    def reset(self) -> None:
        """Forget all that was asked and told, and refuse."""
        self.asked: list[tuple[str, str]] = []  #: (port, host) of each bind_port
        self.told: dict[str, list[Told]] = {}
        self.bind: typing.Callable[[typing.Any], None] = refuse
        self.trouble: list[Exception] = []  #: raised once each, by hooks
        self.rivals: list[Exception] = []  #: raised once each, while a bound port is committed
        self.hear: typing.Callable[[typing.Any], None] = lambda _: None  #: called by each hook

    def initialize(self) -> None:
        """Nothing to set up."""

    def bind_port(self, context: typing.Any) -> None:
        self.asked.append((context.current["id"], context.host))
        self.bind(context)

    def hosts_asked(self, port: str) -> list[str]:
        """Return for which hosts it was asked to bind a port."""
        return [host for one, host in self.asked if one == port]

    def update_port_precommit(self, context: typing.Any) -> None:
        if self.rivals and context.vif_type == portbindings.VIF_TYPE_OTHER:
            raise self.rivals.pop(0)

    def create_port_postcommit(self, context: typing.Any) -> None:
        self._tell("create", context)

    def update_port_postcommit(self, context: typing.Any) -> None:
        self._tell("update", context)

    def delete_port_postcommit(self, context: typing.Any) -> None:
        self._tell("delete", context)

    def _tell(self, hook: str, context: typing.Any) -> None:
        self.hear(context)
        if self.trouble:
            raise self.trouble.pop(0)
        told = Told(
            hook,
            context.host,
            context.vif_type,
            context.original_vif_type,
            context.original_host,
        )
        self.told.setdefault(context.current["id"], []).append(told)


def refuse(context: typing.Any) -> None:
    """Do not bind."""


def accept(context: typing.Any) -> None:
    """Bind to the first segment that is offered."""
    context.set_binding(
        context.segments_to_bind[0]["id"], portbindings.VIF_TYPE_OTHER, {"of": context.host}
    )


class Gate:
    """Does no more than wait until it is let go; ``inside`` is set when it is called."""

    def __init__(self) -> None:
        self.inside, self.go = threading.Event(), threading.Event()

    def __call__(self, context: typing.Any) -> None:
        self.inside.set()
        assert self.go.wait(PATIENCE_S)


class Slow(Gate):
    """Accepts when it is let go."""

    def __call__(self, context: typing.Any) -> None:
        super().__call__(context)
        accept(context)


class Failing:
    """Raises each of these once, then accepts."""

    def __init__(self, *failures: Exception) -> None:
        self._left = list(failures)

    def __call__(self, context: typing.Any) -> None:
        if self._left:
            raise self._left.pop(0)
        accept(context)
