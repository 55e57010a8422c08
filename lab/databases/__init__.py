# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""The databases that the journal runs on, each as a real server of its own in a temporary folder.

All have one interface (:class:`Server`): ``with MariaDB() as server: urls =
server.create_database("journal")``. There is one URL for each node that can be written to.
"""

from lab.databases.galera import Galera
from lab.databases.mariadb import MariaDB
from lab.databases.postgresql import PostgreSQL
from lab.databases.server import Server
from lab.databases.sqlite import SQLite

__all__ = ["Galera", "MariaDB", "PostgreSQL", "SQLite", "Server"]
