# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

import pathlib

from networking_workflow.conf import reference

DOCUMENT = pathlib.Path(__file__).parents[3] / "docs" / "configuration.md"


def test_the_document_says_what_the_options_say() -> None:
    assert DOCUMENT.read_text() == reference.markdown()
