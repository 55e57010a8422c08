# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""How a run is written down that has come to its end.

Everything is fenced by the claim. A write that finds the fence gone raises LeaseLost, and the run
ends there: the new owner does the work.
"""

import logging
import typing

from networking_workflow.conductor import breaker, outcomes, shared
from networking_workflow.model import errors, retry, tasks, workflows
from networking_workflow.plan import flows

LOG = logging.getLogger(__name__)

T = typing.TypeVar("T")

#: Seconds after which a workflow that waits for a driver is claimed again though nobody woke it:
#: no conductor may have that driver any more. Far more than any of those that wake it needs, since
#: each of many thousands would be claimed and settled again each time.
_UNWOKEN_S = 900.0


class Settlement:
    """Of one run of one claimed workflow."""

    def __init__(self, claim: workflows.Claim, tools: shared.Tools) -> None:
        self._claim, self._tools = claim, tools

    def left(self, driver: str | None) -> int:
        """Return the attempts that remain after this one; None: of what is no driver's."""
        return self._policy_of(driver).attempts - (self._claim.attempts + 1)

    def cancel_requested(self) -> bool:
        """Return whether an operator wants the workflow to end."""
        return self._write(lambda: self._tools.journal.cancel_requested(self._claim))

    def settle(self, log: flows.StepLog) -> None:
        """Write what the outcomes of all calls mean."""
        decision = outcomes.decide(
            log.outcomes, spent=self._claim.attempts + 1, policy_of=self._policy_of
        )
        last = log.unwritten
        if decision.error is None:
            results = [last.result] if last else []
            bodies = last.bodies if last else {}
            self._write(lambda: self._tools.journal.succeed(self._claim, results, bodies))
            return
        if last is not None and last.bodies:
            log.flush()  # of the settling writes only success takes what a driver applied
        if self.cancel_requested():
            self.interrupted(log, cancelled=True)
            return
        self.end(decision, decision.error, [log.unwritten.result] if log.unwritten else [])

    def interrupted(self, log: flows.StepLog, *, cancelled: bool) -> None:
        """End what an operator cancelled, or hand back what another conductor is to go on with."""
        log.flush()
        end = self._tools.journal.cancelled if cancelled else self._tools.journal.hand_back
        self._write(lambda: end(self._claim))

    def end(
        self,
        decision: outcomes.Decision,
        error: errors.DriverError,
        results: list[tasks.TaskResult],
    ) -> None:
        """Write an end that is no success."""
        verdict = decision.verdict
        if verdict is outcomes.Verdict.WAIT_FOR_DRIVER and decision.driver is not None:
            self._wait_for_driver(decision.driver, error, results)
        elif verdict is outcomes.Verdict.HOLD and isinstance(error, errors.MissingReference):
            self._hold(error, results)
        elif verdict is outcomes.Verdict.FAIL:
            self._fail(error, results)
        else:
            self._retry(decision.driver, error, results)

    def _wait_for_driver(
        self, driver: str, error: errors.DriverError, results: list[tasks.TaskResult]
    ) -> None:
        self._write(
            lambda: self._tools.journal.retry_later(
                self._claim,
                error.failure,
                delay_s=_UNWOKEN_S,
                spend_attempt=False,
                waits_for=breaker.waits_for(driver),
                results=results,
            )
        )
        self._tools.breakers[driver].settled()

    def _hold(self, error: errors.MissingReference, results: list[tasks.TaskResult]) -> None:
        LOG.info("Workflow %s is held: %s", self._claim.id, error.detail)
        self._write(
            lambda: self._tools.journal.hold(
                self._claim,
                error.failure,
                resource_type=error.resource_type,
                resource_id=error.resource_id,
                results=results,
            )
        )

    def _retry(
        self, driver: str | None, error: errors.DriverError, results: list[tasks.TaskResult]
    ) -> None:
        spent = self._claim.attempts + 1
        delay_s = self._policy_of(driver).delay_s(spent)
        LOG.warning(
            "Workflow %s: attempt %d failed, the next is in %.1f s: %s",
            self._claim.id,
            spent,
            delay_s,
            error.detail,
        )
        self._write(
            lambda: self._tools.journal.retry_later(
                self._claim, error.failure, delay_s=delay_s, spend_attempt=True, results=results
            )
        )

    def _fail(self, error: errors.DriverError, results: list[tasks.TaskResult]) -> None:
        claim = self._claim
        LOG.error(
            "Workflow %s (%s %s %s) FAILED at attempt %d, %s: %s",
            claim.id,
            claim.operation,
            claim.resource_type,
            claim.resource_id,
            claim.attempts + 1,
            error.code,
            error.detail,
        )
        self._write(lambda: self._tools.journal.fail(claim, error.failure, results))

    def _policy_of(self, driver: str | None) -> retry.RetryPolicy:
        config = self._tools.settings
        return config.retry if driver is None else config.limits_of(driver).retry

    def _write(self, write: typing.Callable[[], T]) -> T:
        return self._tools.write(self._claim, write)
