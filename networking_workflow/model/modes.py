# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Who makes the backends follow a change."""

import enum


class Mode(enum.StrEnum):
    """What ``[workflow] mode`` says."""

    DRIVE = "drive"  #: conductors do, after the call
    SHADOW = "shadow"  #: stock ML2 does, in the call; conductors only compare
