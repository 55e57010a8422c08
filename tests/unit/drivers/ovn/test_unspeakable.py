# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Text that the OVSDB protocol cannot carry is refused before it is sent."""

import pytest

from networking_workflow.drivers.ovn import compare


def row(**columns):
    return compare.Row(table="Logical_Switch_Port", name="p", columns=columns)


@pytest.mark.parametrize("text", ["vm\x007", "\x00", "\ud800"])
def test_nul_and_lone_surrogates_are_refused_by_column(text):
    plain = row(parent_name=text)
    in_a_map = row(external_ids=compare.Keys(wanted={"neutron:device_id": text}))
    in_a_set = row(addresses=frozenset({"ok", text}))
    for one, column in (
        (plain, "parent_name"),
        (in_a_map, "external_ids"),
        (in_a_set, "addresses"),
    ):
        (found,) = compare.unspeakable([one])
        assert f"Logical_Switch_Port p: {column} " in found


def test_other_control_characters_and_other_scripts_can_be_written():
    assert compare.unspeakable([row(name="a\x01\n\u00fc\U0001f600", tag_request=None)]) == ()


def test_what_must_not_be_there_is_not_written():
    absent = compare.Row(table="ACL", name="x", columns={"match": "\x00"}, absent=True)
    assert compare.unspeakable([absent]) == ()
