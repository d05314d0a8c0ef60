"""Every error that Loopai raises, named by what the loop does when it meets one.

    LoopaiError
    ├── ConfigurationError   stop before starting, exit 2
    ├── RecordError          this record is bad: dead letter, go on
    ├── ProgramError         the program is bad: an outcome or a refusal, never an exception through the pipeline
    ├── TransientError       the world is unwell: retry with backoff
    │   └── UnavailableError   and after the last retry: exit 5, HTTP 503
    ├── NotFoundError        exit 3, HTTP 404
    ├── ConflictError        the state forbids it: exit 4, HTTP 409
    ├── BudgetError          the money or the calls are spent: an explicit state, never a silent skip
    └── DeadLetterLimitError too many bad records in a row: the worker stops

Anything else is a bug and ends the process.
"""

from __future__ import annotations


class LoopaiError(Exception):
    """Root of the tree. `code` is stable and machine-readable; `next_step` tells a person what to do."""

    code = "error"

    def __init__(self, message: str, *, next_step: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.message} {self.next_step}".strip()


class ConfigurationError(LoopaiError):
    """The settings cannot work. Raised before anything is started."""

    code = "configuration"


class RecordError(LoopaiError):
    """One record cannot be processed and never will be. `reason` is a stable word for counters and headers."""

    code = "record"

    def __init__(self, message: str, *, reason: str, next_step: str = "") -> None:
        super().__init__(message, next_step=next_step)
        self.reason = reason


class ProgramError(LoopaiError):
    """A program was refused by the gate, or failed while it was loaded."""

    code = "program"


class TransientError(LoopaiError):
    """Something outside did not answer this time."""

    code = "transient"


class UnavailableError(TransientError):
    """Something outside did not answer after the last retry."""

    code = "unavailable"


class NotFoundError(LoopaiError):
    """No such thing."""

    code = "not_found"


class ConflictError(LoopaiError):
    """The thing is there, but its state forbids what was asked."""

    code = "conflict"


class BudgetError(LoopaiError):
    """The budget does not allow the call."""

    code = "budget"


class DeadLetterLimitError(LoopaiError):
    """More dead letters in a row, or in ratio, than the limit."""

    code = "dead_letter_limit"
