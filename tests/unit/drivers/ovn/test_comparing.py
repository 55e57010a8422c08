# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Who only compares has something to say of all that the driver programs."""

import pytest

from networking_workflow.drivers.ovn import comparing, driver, wanted
from networking_workflow.model import states


def test_every_kind_that_is_applied_is_compared() -> None:
    assert wanted.KINDS.keys() == driver._KINDS.keys()


@pytest.mark.parametrize("kind", [*driver._KINDS, "subnetpool"])
@pytest.mark.parametrize("operation", states.Operation)
def test_there_is_a_task_where_the_driver_has_one(kind: str, operation: states.Operation) -> None:
    looks = comparing.OvnComparing(None, plugin=None, timeout_s=1.0)
    drives = driver.OvnDriver(None, plugin=None, timeout_s=1.0)
    assert looks.handles(kind, operation) == drives.handles(kind, operation)
