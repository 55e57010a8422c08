# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What the core plugin says that it supports."""

from neutron.common import utils

from networking_workflow.api import plugin as api_plugin


class Unvalidating:
    """A service plugin that takes any filter, as plugins of others do."""

    filter_validation_support = False


def test_what_a_service_plugin_does_not_support_is_no_extension_any_more():
    plugin = object.__new__(api_plugin.Ml2Plugin)
    plugin._aliases = ["filter-validation", "provider"]  # as ML2 keeps them once it has asked
    assert plugin.supported_extension_aliases == ["filter-validation", "provider", "workflow"]
    utils.disable_extension_by_service_plugin(plugin, Unvalidating())
    assert plugin.supported_extension_aliases == ["provider", "workflow"]
