# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The fabric: a small real controller over HTTP, and the ML2 driver that programs it.

It is the example for authors of drivers, and the backend of tests and demos whose behaviour (slow,
failing, hanging, gone) can be set while it runs.
"""
