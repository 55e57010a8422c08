# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Each contract test runs for each kind that its class covers."""

from tests.contract.drivers.suite import pytest_generate_kinds as pytest_generate_tests

__all__ = ["pytest_generate_tests"]
