# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""An API process that forks a worker after its application was loaded, as some servers do.

``python -m tests.functional.conductor.forking <database url>`` prints ``parent <pid>`` and
``worker <pid>``; each ends in order when standard input does.
"""

import os
import sys
import types

from oslo_config import cfg
from oslo_db import options as db_options

from networking_workflow.capture import calls
from networking_workflow.cmd import embedded
from networking_workflow.conf import workflow as conf_workflow
from tests.waiting import wait_until


def main(url: str) -> None:
    """Start in the parent, fork, and commit a workflow in the worker."""
    conf = cfg.ConfigOpts()
    conf_workflow.register_opts(conf)
    conf.register_opts([cfg.StrOpt("host", default="host"), cfg.StrOpt("state_path")])
    conf.register_opts(db_options.database_opts, "database")
    conf([])
    conf.set_override("connection", url, group="database")
    conf.set_override("wakeup_dir", "", group="workflow")
    plugin = types.SimpleNamespace(mechanism_manager=types.SimpleNamespace(ordered_mech_drivers=[]))
    first = embedded.start_embedded(plugin, conf)
    if embedded.start_embedded(plugin, conf) is not first:
        raise SystemExit("a second call started a second conductor")
    wait_until(lambda: first.looked and first.idle == 4, 30, "the conductor to be idle")
    worker = os.fork()
    if worker == 0:
        for hook in calls.AFTER_COMMIT:  # as a commit in the worker does
            hook(["a workflow"])
            hook(["another"])
    sys.stdout.write(f"{'worker' if worker == 0 else 'parent'} {os.getpid()}\n")
    sys.stdout.flush()
    sys.stdin.read()
    if worker:
        os.waitpid(worker, 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
