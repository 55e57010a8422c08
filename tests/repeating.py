# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What runs on MariaDB, and on SQLite again where there is time: in ``make stress``.

On SQLite too in any run are those tests marked ``on_sqlite``: where what SQLite does differs from
what a server does (order, times, locks, rows that come together), one of each kind.
"""

import os

#: The database on which such tests run again; none without the variable.
AGAIN = ["sqlite"] if "NETWORKING_WORKFLOW_REPEAT" in os.environ else []
