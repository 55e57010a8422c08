# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The fabric's unmodified mechanism driver behind the ML2 adapter keeps the driver contract."""

import collections.abc
import typing

import pytest

from networking_workflow.drivers.fabric import behaviour, server, store
from networking_workflow.testing import ml2

Json = dict[str, typing.Any]


class Fabric:
    """The controller, with all that it can be made to do."""

    def __init__(self, running: server.FabricServer) -> None:
        self._server = running
        self.url = running.url

    def observe(self, resource_type: str, resource_id: str) -> Json | None:
        return self._server.store.get(resource_type, resource_id)

    def stop(self) -> None:
        self._server.gate.set(behaviour.Behaviour(outage=True))

    def start(self) -> None:
        self._server.gate.set(behaviour.Behaviour())

    def damage(self, resource_type: str, resource_id: str) -> None:
        whole = self._server.store.get(resource_type, resource_id)
        assert whole is not None
        effect = store.Effect(
            method="PUT",
            kind=resource_type,
            id=resource_id,
            body=whole | {"name": "damaged"},
            started_at=0.0,
        )
        assert self._server.store.do(effect).status == 200

    def lose_answer(self) -> None:
        self._server.gate.set(behaviour.Behaviour(drop_answers=1))


class TestFabric(ml2.Ml2Contract):
    ALIAS = "fabric"

    @pytest.fixture(scope="class")
    def backend(self) -> collections.abc.Iterator[Fabric]:
        with server.FabricServer(("127.0.0.1", 0)).running() as running:
            yield Fabric(running)

    @pytest.fixture(scope="class")
    def configuration(self, backend: Fabric) -> str:
        return f"[fabric]\nurl = {backend.url}\n"

    def changes(self, kind: str, number: int) -> Json:
        if kind == "port":
            return {"binding:host_id": f"host-{number}"}
        return super().changes(kind, number)
