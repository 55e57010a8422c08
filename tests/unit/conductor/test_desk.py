# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""A doubt about rows that no worker knows lasts until a late look has found the database."""

import time

from networking_workflow.conductor import workers


def test_a_doubt_outlasts_a_database_that_is_away():
    desk = workers.Desk()
    assert not desk.unsure
    desk.doubt()
    desk.looked(time.monotonic())  # a commit may still be on its way
    assert desk.unsure
    desk.looked(time.monotonic() + workers._DOUBT_S + 1)
    assert not desk.unsure
