# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""How the Northbound database gets what ``expect`` asks for: one file for each kind of resource.

Neutron's own ``OVNClient`` writes; what it leaves alone (because it acts on changes, not on what is
there) is written here by name.
"""
