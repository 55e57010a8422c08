# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What the suites are run on."""

import enum


class Variant(enum.StrEnum):
    """What runs in ML2's place."""

    STOCK = "stock"  #: ML2 itself
    OURS = "ours"  #: this plugin
    AT_ONCE = "at-once"  #: this plugin, but drivers are called inside the API call, as stock does
