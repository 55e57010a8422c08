# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A real Neutron: configuration, schema, neutron-api and conductors as processes."""

from lab.neutron.config import Deployment, Identity, Profile
from lab.neutron.running import Conductor, NeutronApi

__all__ = ["Conductor", "Deployment", "Identity", "NeutronApi", "Profile"]
