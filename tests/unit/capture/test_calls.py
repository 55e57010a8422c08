# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What is put off until a call of the plugin is over, its answer being waited for."""

import pytest
from oslo_config import cfg

from networking_workflow.capture import calls
from networking_workflow.cmd import embedded
from networking_workflow.conf import workflow as conf_workflow


def test_put_off_until_the_outermost_call_is_over():
    done = []
    with calls.committed_ids():
        with calls.committed_ids():
            calls.after_call(lambda: done.append("inner"))
        assert done == []
    assert done == ["inner"]


def test_done_at_once_outside_of_any_call():
    done = []
    calls.after_call(lambda: done.append("now"))
    assert done == ["now"]


def test_done_also_if_the_call_fails():
    done = []
    with pytest.raises(ValueError, match="no"), calls.committed_ids():
        calls.after_call(lambda: done.append("then"))
        raise ValueError("no")
    assert done == ["then"]


class Conductor:
    def __init__(self):
        self.hints = []

    def hint(self, workflow_ids):
        self.hints.append(workflow_ids)


def test_an_embedded_conductor_is_woken_when_the_call_that_committed_is_over():
    conf = cfg.ConfigOpts()
    conf_workflow.register_opts(conf)
    conf([], default_config_files=[], default_config_dirs=[])
    conf.set_override("wakeup_dir", "", conf_workflow.GROUP)
    edge = embedded.Edge(None, conf)
    edge.conductor = conductor = Conductor()
    with calls.committed_ids():
        edge.hint(["w1"])
        assert conductor.hints == []
    assert conductor.hints == [["w1"]]
