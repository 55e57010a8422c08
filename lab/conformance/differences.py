# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Why a test of Neutron's ends otherwise on this plugin than on stock, by patterns of its id."""

import dataclasses
import fnmatch


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """The reason for which the tests that a pattern matches end otherwise."""

    pattern: str  #: of ids below ``neutron.tests.unit``, with * and ?
    reason: str
    #: nothing but the time of a driver's call: with the drivers called inside the API call the
    #: test must end as it does on stock. This is checked in each run.
    is_time_only: bool = True

    def matches(self, name: str) -> bool:
        """Return whether a test's short id is meant."""
        return fnmatch.fnmatchcase(name, self.pattern)


_OVN = "plugins.ml2.drivers.ovn.mech_driver.test_mech_driver."

_FAILING_DRIVER = (
    "A driver's `*_postcommit` raises, and the call is to fail for it and to undo what it did. "
    "Here a workflow calls the driver: the call answers, and what the driver raises is the "
    "workflow's failure, and the caller's too if it waits (docs/api.md, `Prefer`)."
)

_SHOWN_IN_PAYLOAD = (
    "The test compares all of a floating IP with a dict of its own. The floating IP has "
    "`sync_state`, `sync_error` and `sync_updated_at` besides."
)

#: The first that matches counts.
DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        pattern="plugins.ml2.test_plugin.TestFaultyMechansimDriver.*", reason=_FAILING_DRIVER
    ),
    *(
        Difference(
            pattern=f"extensions.test_l3.{test}", reason=_SHOWN_IN_PAYLOAD, is_time_only=False
        )
        for test in (
            "L3AgentDbSepTestCase.test_floatingip_delete_after_event",
            "L3NatDBSepTestCase.test_first_floatingip_associate_notification",
            "L3NatDBSepTestCase.test_floatingip_disassociate_notification*",
        )
    ),
    Difference(
        pattern="services.qos.test_qos_plugin.TestQosPlugin.test_update_policy",
        reason=(
            "The test replaces Neutron's database calls by mocks, so that the policy it updates "
            "has no row; `sync_state` comes with the row."
        ),
        is_time_only=False,
    ),
    Difference(
        pattern=(
            "plugins.ml2.test_plugin.TestMl2RevivedAgentsBindPorts.test__retry_binding_revived_agents"
        ),
        reason=(
            "The test's port is a mock, its row too. What a port shows of `sync_state` is text in "
            "a column of the row, which a mock does not have."
        ),
        is_time_only=False,
    ),
    Difference(
        pattern=(
            _OVN + "TestOVNMechanismDriverSegment.test_update_segment_host_mapping_with_new_segment"
        ),
        reason=(
            "The test has the driver subscribe a second time, which on stock changes nothing. Here "
            "it brings back callbacks that this plugin has taken off and makes itself: both write "
            "the same revision row, and the call is tried again until the test's time is over."
        ),
        is_time_only=False,
    ),
    Difference(
        pattern=_OVN + "TestOVNMechanismDriver.test_ping_all_chassis*",
        reason=(
            "The test expects OVN to have been asked when the method returns. A thread of its own "
            "asks, so that no API call waits for an OVN that does not answer "
            "(networking_workflow/drivers/ovn/seams.py)."
        ),
        is_time_only=False,
    ),
    Difference(
        pattern=_OVN + "*",
        reason=(
            "The test counts or compares the driver's calls of OVN right after the API call. A "
            "workflow makes them."
        ),
    ),
)
