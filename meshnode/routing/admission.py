"""Which requests a serving node takes, in what order they run, and what it tells the others.

So many run as there are slots, twice as many wait, the rest are refused with the time after which
asking again makes sense. Who waits is served fairly by tenant, by earliest deadline within one.
Who pays goes before who does not, but never so long that nobody else is served.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from meshnode.routing.draws import derive, spread
from meshnode.routing.fair_queue import FairQueue
from meshnode.routing.pace import PaceLimit

PAID_RUN_MAX = 8
"""So many paid requests may go before a waiting one that is not."""
RUN_MS_START = 2_000
"""What a request is taken to hold a slot before one has ended."""
PREFILL_NS_START = 300_000
_RETRY_JITTER_PERMILLE = 100
_RUN_DIVISOR = 8
_SHED, _JITTER = range(2)


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
    request_tokens: int = 512
    """What a request counts beside its prompt: its answer takes a slot, too."""
    token_us_max: int = 0
    """Fewer run at once while a token takes longer than this (`Admission.on_pace`); 0 for never."""


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
    """Whether a contract pays for it."""

    @property
    def patience_ms(self) -> int:
        """How long it may wait for its first token."""
        return min(self.remaining_ms, self.first_token_ms)


class RefusalCode(StrEnum):
    """Why a request is not taken."""

    DRAINING = "draining"
    TOO_LARGE = "too_large"
    BYTES = "bytes"
    QUEUE_FULL = "queue_full"
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


@dataclass(slots=True)
class _Place:
    arrival: Arrival
    deadline_ms: int
    waits: bool = True
    granted_ms: int = 0
    prefill_tokens: int = 0
    """Until the first token."""


class Admission:
    """The queue of one serving node. The caller runs what `take_ready` names and tells its ends."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._pace = PaceLimit(max(1, limits.slots), limits.token_us_max)
        self._keys = 0
        self._places: dict[int, _Place] = {}
        self._queues = {
            True: FairQueue(limits.quantum_tokens),
            False: FairQueue(limits.quantum_tokens),
        }
        """Those that pay, and those that do not."""
        self._paid_run = 0
        self._queued = 0
        self._queued_bytes = 0
        self._prefill_tokens = 0
        self._run_ms = RUN_MS_START
        self._prefill_ns = PREFILL_NS_START
        self._draining = False

    @property
    def slots(self) -> int:
        """How many may run at once now, which is what to report."""
        return self._pace.slots

    @property
    def running(self) -> int:
        """Requests that hold a slot."""
        return len(self._places) - self._queued

    @property
    def queued(self) -> int:
        """Requests that wait for one."""
        return self._queued

    @property
    def queued_bytes(self) -> int:
        """What the waiting requests take in memory."""
        return self._queued_bytes

    @property
    def queued_prefill_tokens(self) -> int:
        """Prompt tokens of all requests, running or waiting, without a first token."""
        return self._prefill_tokens

    @property
    def is_draining(self) -> bool:
        """Whether nothing more is taken."""
        return self._draining

    def offer(
        self, arrival: Arrival, *, now_ms: int, draw: int, kv_usage_bp: int = 0
    ) -> Admitted | Refused:
        """Take a request into the queue, or refuse it. Follow with `take_ready`."""
        refused = self._find_refusal(arrival, draw, kv_usage_bp)
        if refused is not None:
            return refused
        wait_ms = self._predict_wait_ms()
        self._keys += 1
        deadline_ms = now_ms + arrival.patience_ms
        tokens = max(0, arrival.prompt_tokens)
        self._places[self._keys] = _Place(arrival, deadline_ms, prefill_tokens=tokens)
        self._queues[arrival.paid].add(
            self._keys,
            arrival.tenant,
            deadline_ms=deadline_ms,
            cost_tokens=tokens + self._limits.request_tokens,
        )
        self._queued += 1
        self._queued_bytes += arrival.size_bytes
        self._prefill_tokens += tokens
        return Admitted(self._keys, wait_ms)

    def take_ready(self, *, now_ms: int) -> tuple[int, ...]:
        """Keys of requests that hold a slot from now on: run them."""
        ready: list[int] = []
        while self._queued and self.running < self.slots:
            key = self._choose_queue().take()
            place = self._places[key]
            place.waits = False
            place.granted_ms = now_ms
            self._queued -= 1
            self._queued_bytes -= place.arrival.size_bytes
            ready.append(key)
        return tuple(ready)

    def take_expired(self, *, now_ms: int) -> tuple[int, ...]:
        """Keys of waiting requests whose deadline has passed: they are out of the queue."""
        expired = tuple(
            key
            for key, place in self._places.items()
            if place.waits and place.deadline_ms <= now_ms
        )
        for key in expired:
            self.leave(key, now_ms=now_ms)
        return expired

    def on_first_token(self, key: int, *, now_ms: int) -> None:
        """A running request has its first token."""
        place = self._places.get(key)
        if place is None or place.waits or not place.prefill_tokens:
            return
        sample_ns = max(0, now_ms - place.granted_ms) * 1_000_000 // place.prefill_tokens
        self._prefill_ns += (sample_ns - self._prefill_ns) // _RUN_DIVISOR
        self._prefill_tokens -= place.prefill_tokens
        place.prefill_tokens = 0

    def on_pace(self, token_us: int) -> None:
        """What a token of the running answers took in the mean of the last second."""
        self._pace.note(token_us, self.running)

    def leave(self, key: int, *, now_ms: int) -> None:
        """A request is over or given up, running or waiting. Follow with `take_ready`."""
        place = self._places.pop(key, None)
        if place is None:
            return
        self._prefill_tokens -= place.prefill_tokens
        if place.waits:
            self._queues[place.arrival.paid].remove(key, place.arrival.tenant)
            self._queued -= 1
            self._queued_bytes -= place.arrival.size_bytes
        else:
            self._run_ms += (max(1, now_ms - place.granted_ms) - self._run_ms) // _RUN_DIVISOR

    def find_position(self, key: int) -> int:
        """The place in the queue by arrival, paid ones first, from 1; 0 once it runs.

        Fairness between tenants may change the order in which they are served.
        """
        wanted = self._places.get(key)
        if wanted is None or not wanted.waits:
            return 0
        paid = wanted.arrival.paid
        return sum(
            place.waits
            and ((place.arrival.paid and not paid) or (place.arrival.paid is paid and other <= key))
            for other, place in self._places.items()
        )

    def drain(self) -> None:
        """Refuse whatever comes from now on; what is here is served."""
        self._draining = True

    def _find_refusal(self, arrival: Arrival, draw: int, kv_usage_bp: int) -> Refused | None:
        limits = self._limits
        retry_after_ms = self._find_retry_after_ms(draw)
        if self._draining:
            return Refused(RefusalCode.DRAINING, 0, "this node is shutting down")
        if arrival.size_bytes > limits.request_bytes_max:
            detail = f"a request of {arrival.size_bytes} bytes, {limits.request_bytes_max} allowed"
            return Refused(RefusalCode.TOO_LARGE, 0, detail)
        if self.running < self.slots and not self._queued:
            return None
        here = f"{self.running} requests run and {self._queued} wait here"
        if self._queued >= limits.queued_per_slot * self.slots:
            return Refused(RefusalCode.QUEUE_FULL, retry_after_ms, here)
        if self._queued_bytes + arrival.size_bytes > limits.queued_bytes_max:
            detail = f"{here} with {self._queued_bytes} bytes"
            return Refused(RefusalCode.BYTES, retry_after_ms, detail)
        wait_ms = self._predict_wait_ms()
        first_ms = wait_ms + max(0, arrival.prompt_tokens) * self._prefill_ns // 1_000_000
        if wait_ms > limits.wait_ms_max or first_ms > arrival.patience_ms:
            detail = f"{here}: a first token is expected after {first_ms} ms"
            return Refused(RefusalCode.WAIT, retry_after_ms, detail)
        if arrival.sheddable and self._sheds(derive(draw, _SHED), kv_usage_bp):
            return Refused(RefusalCode.SHED, retry_after_ms, f"{here}: it may be dropped")
        return None

    def _sheds(self, draw: int, kv_usage_bp: int) -> bool:
        """Whether a sheddable request is dropped: with the fifth power of how full this node is."""
        capacity = max(1, self._limits.queued_per_slot * self.slots)
        by_queue = self._queued * 1_000 // capacity
        by_cache = kv_usage_bp * 100 // 900 - 200
        saturation = min(max(by_queue, by_cache, 0), 1_000)
        return draw % 10**15 < 300 * saturation**5

    def _choose_queue(self) -> FairQueue:
        paid = bool(self._queues[True])
        if paid and self._queues[False] and self._paid_run >= PAID_RUN_MAX:
            paid = False
        self._paid_run = self._paid_run + 1 if paid else 0
        return self._queues[paid]

    def _predict_wait_ms(self) -> int:
        """How long a request that comes now would wait for a slot."""
        if self.running < self.slots and not self._queued:
            return 0
        return self._run_ms * (self._queued + 1) // self.slots

    def _find_retry_after_ms(self, draw: int) -> int:
        """When those that wait now will run: the queue has room then."""
        limits = self._limits
        wait_ms = -(-self._run_ms * max(1, self._queued) // self.slots)
        bounded_ms = min(max(wait_ms, limits.retry_after_ms_min), limits.retry_after_ms_max)
        jittered_ms = spread(bounded_ms, derive(draw, _JITTER), permille=_RETRY_JITTER_PERMILLE)
        return min(jittered_ms, limits.retry_after_ms_max)
