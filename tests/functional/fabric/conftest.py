# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Fabrics for tests."""

import collections.abc

import pytest

from networking_workflow.drivers.fabric import server


@pytest.fixture
def fabric() -> collections.abc.Iterator[server.FabricServer]:
    """A fabric in this process, empty, behaving well."""
    with server.FabricServer(("127.0.0.1", 0)).running() as running:
        yield running
