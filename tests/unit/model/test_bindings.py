# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

import json
import types

import pytest

from networking_workflow.model import bindings

UPPER = bindings.Level(driver="top", segments=[{"id": "outer"}], segment_id="outer")
LOWER = bindings.Level(driver="rack", segments=[{"id": "inner"}], chosen=True)
LEFT = bindings.Deferral(host="h", vnic_type="normal", profile="{}", levels=(UPPER, LOWER))


def test_a_deferral_comes_back_from_a_snapshot_as_it_went_in() -> None:
    snapshot = json.loads(json.dumps({"edge": {bindings.EDGE: LEFT.to_json()}}))
    assert bindings.of(snapshot) == LEFT
    assert LEFT.driver == "rack"


@pytest.mark.parametrize("changed", ["host", "vnic_type", "profile"])
def test_a_deferral_is_for_a_binding_until_what_it_depends_on_changes(changed: str) -> None:
    asked = {"host": "h", "vnic_type": "normal", "profile": "{}", "vif_type": "unbound"}
    assert LEFT.is_for(types.SimpleNamespace(**asked))
    assert not LEFT.is_for(types.SimpleNamespace(**asked | {changed: "another"}))
