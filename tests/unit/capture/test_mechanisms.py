# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Which drivers hear of a commit in the call: those that only tell agents, and as from stock."""

import pytest
from neutron.plugins.ml2 import managers
from neutron.plugins.ml2.common import exceptions
from neutron_lib.plugins.ml2 import api
from stevedore import extension

from networking_workflow.capture import mechanisms

HOOKS = sorted(hook for hook in dir(api.MechanismDriver) if hook.endswith("_postcommit"))


class Driver(api.MechanismDriver):
    """Writes down what it hears, and fails if it is told to."""

    def __init__(self, error=None):
        self.heard = []
        self.error = error

    def initialize(self):
        """Nothing to set up."""


def _hearing(hook):
    def hear(self, context):
        self.heard.append((hook, context))
        if self.error:
            raise self.error

    return hear


for _hook in HOOKS:
    setattr(Driver, _hook, _hearing(_hook))


def manager(kind, **drivers):
    """Return a manager of ML2's, or of ours, with these drivers."""
    made = object.__new__(kind)
    made.ordered_mech_drivers = [
        extension.Extension(name, None, None, driver) for name, driver in drivers.items()
    ]
    return made


@pytest.mark.parametrize("hook", HOOKS)
def test_only_drivers_that_tell_agents_hear_of_a_commit_in_the_call(hook):
    drivers = {"openvswitch": Driver(), "l2population": Driver(), "switch": Driver()}
    ours = manager(mechanisms.CapturingMechanismManager, **drivers)
    getattr(ours, hook)("context")
    heard = {name: driver.heard for name, driver in drivers.items()}
    assert heard == {"openvswitch": [], "l2population": [(hook, "context")], "switch": []}
    assert [driver.name for driver in ours.ordered_mech_drivers] == list(drivers)


@pytest.mark.parametrize("hook", HOOKS)
def test_their_errors_are_those_of_stock(hook):
    raised = []
    for kind in (managers.MechanismManager, mechanisms.CapturingMechanismManager):
        error = RuntimeError("the message bus is gone")
        with pytest.raises(exceptions.MechanismDriverError) as caught:
            getattr(manager(kind, l2population=Driver(error)), hook)("context")
        raised.append((caught.value.message, [str(one) for one in caught.value.inner_exceptions]))
    assert raised[0] == raised[1]
