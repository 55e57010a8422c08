# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The level-based driver for ML2/OVN: what must be there, what is there, and how to get there.

``expect`` says from Neutron's rows alone what the Northbound database must hold, ``observe`` reads
the same rows from a local copy, ``compare`` tells them apart in words, ``apply`` writes through
Neutron's own ``OVNClient``. None of them trusts the other: a task succeeds only when what is read
back is what was expected.
"""
