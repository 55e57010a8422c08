# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A mechanism driver that binds every port from memory, and has nothing to do after a commit."""

import typing

from neutron_lib.api.definitions import portbindings
from neutron_lib.plugins.ml2 import api


class MemoryDriver(api.MechanismDriver):  # type: ignore[misc]  # neutron_lib has no types
    """Runs in Neutron's processes."""

    connectivity = portbindings.CONNECTIVITY_L2

    def initialize(self) -> None:
        """Nothing to set up."""

    def bind_port(self, context: typing.Any) -> None:
        """Bind to the first segment."""
        segment = context.segments_to_bind[0]
        context.set_binding(segment[api.ID], portbindings.VIF_TYPE_OTHER, {})
