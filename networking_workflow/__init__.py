# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Every Neutron operation as a durable, ordered, visible workflow."""

# Neutron finds API extensions as an attribute of the top package, and does not import it itself.
from networking_workflow import extensions as extensions
