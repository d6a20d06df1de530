"""Which requests a serving node takes, in what order they run, and what it tells the others.

So many run as there are slots, twice as many wait, the rest are refused with the time after which
asking again makes sense. Who waits is served fairly by tenant, by earliest deadline within one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one serving node takes."""

    slots: int
    queued_per_slot: int = 2
    wait_ms_max: int = 30_000
    """Nobody is queued whose wait is predicted to be longer."""
    request_bytes_max: int = 2 * 1024 * 1024
    queued_bytes_max: int = 64 * 1024 * 1024
    retry_after_ms_min: int = 500
    retry_after_ms_max: int = 30_000
    quantum_tokens: int = 4_096
    """What a tenant may have served in one turn of the round."""
    tenants_max: int = 1_024
    """Waiting tenants; never reached while the queue itself is shorter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A request at the door."""

    tenant: str
    """Who is served fairly: an author id, an API key's name."""
    prompt_tokens: int
    """Not in a cache, counted or estimated: the work before its first token."""
    size_bytes: int = 0
    remaining_ms: int = 120_000
    first_token_ms: int = 60_000
    sheddable: bool = False
    """Whether it may be dropped early, before the queue is full."""
    paid: bool = False
    """Whether a contract pays for it: it goes before who does not pay."""


class RefusalCode(StrEnum):
    """Why a request is not taken."""

    DRAINING = "draining"
    QUEUE_FULL = "queue_full"
    BYTES = "bytes"
    TOO_LARGE = "too_large"
    WAIT = "wait"
    SHED = "shed"


class Admitted(NamedTuple):
    """A place in the queue."""

    key: int
    wait_ms: int
    """Predicted until it runs; 0 where a slot is free."""


class Refused(NamedTuple):
    """No place; asking again makes sense after a while, 0 for never."""

    code: RefusalCode
    retry_after_ms: int
    detail: str


class Admission:
    """The queue of one serving node. The caller runs what `take_ready` names and tells its ends."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._keys = 0
        self._waiting: dict[int, Arrival] = {}
        self._running: dict[int, Arrival] = {}
        self._prefilling: dict[int, int] = {}

    @property
    def running(self) -> int:
        """Requests that hold a slot."""
        return len(self._running)

    @property
    def queued(self) -> int:
        """Requests that wait for one."""
        return len(self._waiting)

    @property
    def queued_prefill_tokens(self) -> int:
        """Prompt tokens of all requests, running or waiting, without a first token."""
        return sum(self._prefilling.values()) + sum(
            arrival.prompt_tokens for arrival in self._waiting.values()
        )

    def offer(
        self, arrival: Arrival, *, now_ms: int, draw: int, kv_usage_bp: int = 0
    ) -> Admitted | Refused:
        """Take a request into the queue, or refuse it. Follow with `take_ready`."""
        limit = self._limits.slots * (1 + self._limits.queued_per_slot)
        if self.running + self.queued >= limit:
            return Refused(
                RefusalCode.QUEUE_FULL,
                self._limits.retry_after_ms_min,
                f"{self.running} requests run and {self.queued} wait here",
            )
        self._keys += 1
        self._waiting[self._keys] = arrival
        return Admitted(self._keys, 0)

    def take_ready(self, *, now_ms: int) -> tuple[int, ...]:
        """Keys of requests that hold a slot from now on: run them."""
        ready: list[int] = []
        while self._waiting and len(self._running) < self._limits.slots:
            key = next(iter(self._waiting))
            self._running[key] = self._waiting.pop(key)
            self._prefilling[key] = self._running[key].prompt_tokens
            ready.append(key)
        return tuple(ready)

    def take_expired(self, *, now_ms: int) -> tuple[int, ...]:
        """Keys of waiting requests whose deadline has passed: they are out of the queue."""
        return ()

    def on_first_token(self, key: int, *, now_ms: int) -> None:
        """A running request has its first token."""
        self._prefilling.pop(key, None)

    def leave(self, key: int, *, now_ms: int) -> None:
        """A request is over or given up, running or waiting. Follow with `take_ready`."""
        self._waiting.pop(key, None)
        self._running.pop(key, None)
        self._prefilling.pop(key, None)

    def find_position(self, key: int) -> int:
        """How many requests are served before this one, itself included; 0 once it runs."""
        return list(self._waiting).index(key) + 1 if key in self._waiting else 0

    def drain(self) -> None:
        """Refuse whatever comes from now on; what is here is served."""
