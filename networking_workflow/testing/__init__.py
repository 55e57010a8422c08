# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""For authors of drivers: the contract that a driver is held to, as tests to subclass.

``contract.DriverContract`` is for any driver of ``drivers.protocol``, ``ml2.Ml2Contract`` for an
ML2 mechanism driver, on a real Neutron. They need pytest, which nothing outside of this package
imports: ``pip install networking-workflow[testing]``. How to use them: ``docs/drivers.md``.
"""
