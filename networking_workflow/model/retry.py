# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""How long to wait before another attempt."""

import dataclasses
import random


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """Doubling delays with full jitter above half.

    :raises ValueError: if a delay is negative or ``attempts`` is below 1.
    """

    attempts: int = 8  #: total tries, the first included
    first_delay_s: float = 1.0  #: seconds before the second try
    max_delay_s: float = 300.0  #: seconds; ceiling for the doubling

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.first_delay_s < 0 or self.max_delay_s < 0:
            raise ValueError(
                "RetryPolicy wants attempts of at least 1 and delays of at least 0 seconds, not "
                f"{self.attempts}, {self.first_delay_s} and {self.max_delay_s}."
            )

    def delay_s(self, attempts_spent: int, rng: random.Random | None = None) -> float:
        """Return the seconds to wait after ``attempts_spent`` tries, jittered."""
        return self.longest_s(attempts_spent) * (rng or random).uniform(0.5, 1.0)

    def longest_s(self, attempts_spent: int) -> float:
        """Return the most that :meth:`delay_s` may be."""
        return min(self.max_delay_s, self.first_delay_s * 2.0 ** max(0, attempts_spent - 1))
