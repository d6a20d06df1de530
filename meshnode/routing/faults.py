"""Why an attempt failed, and what follows from that for the next one."""

from __future__ import annotations

from enum import StrEnum


class Fault(StrEnum):
    """The words of `EngineFault`, and those that only the asking side sees."""

    BAD_REQUEST = "bad_request"
    CONTEXT_OVERFLOW = "context_overflow"
    CONTENT_FILTER = "content_filter"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    MODEL_NOT_FOUND = "model_not_found"
    OUT_OF_QUOTA = "out_of_quota"
    OVERLOADED = "overloaded"
    RATE_LIMITED = "rate_limited"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    STALLED = "stalled"
    TRUNCATED = "truncated"
    MALFORMED = "malformed"
    INTERNAL = "internal"

    @property
    def is_neutral(self) -> bool:
        """Whether it says that a replica is busy, not that it is broken."""
        return self in {Fault.OVERLOADED, Fault.RATE_LIMITED}

    @property
    def is_breakage(self) -> bool:
        """Whether it counts against the replica: the breaker and the penalty see it."""
        return self in _BREAKAGES

    @property
    def may_retry_elsewhere(self) -> bool:
        """Whether another replica may succeed where this one failed."""
        return self.is_neutral or self.is_breakage

    @property
    def disables(self) -> bool:
        """Whether the replica cannot serve the model until its configuration changes."""
        return self in _DISABLING


_BREAKAGES = frozenset(
    {
        Fault.UNREACHABLE,
        Fault.TIMEOUT,
        Fault.STALLED,
        Fault.TRUNCATED,
        Fault.MALFORMED,
        Fault.INTERNAL,
    }
)
_DISABLING = frozenset(
    {Fault.UNAUTHORIZED, Fault.FORBIDDEN, Fault.MODEL_NOT_FOUND, Fault.OUT_OF_QUOTA}
)
