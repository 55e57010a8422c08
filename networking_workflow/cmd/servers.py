# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Whether the WSGI server loads Neutron in the process that will serve it."""

import sys

from networking_workflow.model import errors


def refuse_a_later_fork() -> None:
    """Return if this process will not be forked into the workers of uWSGI.

    Threads do not outlive a fork: those that follow OVN, and the conductor's, would be missing in
    every worker, and the connections that they had would be shared by all. gunicorn's ``--preload``
    is refused by ``gunicorn_settings``.

    :raises ConfigurationError: naming the option.
    """
    uwsgi = sys.modules.get("uwsgi")  # there is none but in a process of uWSGI
    if uwsgi is not None and uwsgi.masterpid() and not uwsgi.worker_id():
        raise errors.ConfigurationError(
            "uWSGI loads neutron-api before it forks its workers, which OVN's connections and the "
            "conductor do not survive. Set lazy-apps = true."
        )
