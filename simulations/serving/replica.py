"""A replica: the admission of a node before an engine, and what it says of itself.

Admission is `meshnode.routing.admission`, as in a node: it knows prompts and slots, not what the
engine does inside.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

from meshnode.routing.admission import Admission, Arrival, Limits, Refused
from simulations.kernel import NS_PER_MS, Kernel
from simulations.serving.door import Door
from simulations.serving.engine import Engine, EngineSpec, Job
from simulations.serving.outcome import TPOT_MS
from simulations.serving.port import Attempt, Failure, Status

if TYPE_CHECKING:
    import random

    from simulations.serving.wire import Wire

LATENCIES_MAX: Final = 16
QUOTA_RETRY_MS: Final = 5_000
"""What a quota's refusals name as the time to wait."""
RUBBISH_MS: Final = 20
"""A replica that answers rubbish is quick about it."""
SWEEP_MS: Final = 1_000
TOKEN_US_MAX: Final = round(TPOT_MS * 1_000)
"""The node is told what a token may take, as its owner tells it."""
NS_PER_US: Final = 1_000
_BASIS_POINTS: Final = 10_000
_DRAW_BITS: Final = 32


@dataclass(slots=True, eq=False)
class _Guest:
    """A request here: its place in the queue, its job, and who asked."""

    key: int
    job: Job
    attempt: Attempt
    door: Door


class Replica:
    """One place where requests are answered."""

    def __init__(
        self,
        kernel: Kernel,
        number: int,
        spec: EngineSpec,
        wire: Wire,
        stream: random.Random,
        *,
        is_open: bool = False,
    ) -> None:
        """`is_open` lets everybody queue, however many there are: for comparison with theory."""
        self.number = number
        self.spec = spec
        self.engine = Engine(kernel, number, spec)
        self.is_dead = False
        self.is_rubbish = False
        self.is_limited = False
        self.quota_domain = ""
        self.arrived_tokens = 0
        """Of prompts that were let in, computed or cached."""
        self.input_tokens = 0
        self.miss_tokens = 0
        self.wasted_tokens = 0
        self._kernel = kernel
        self._wire = wire
        self._stream = stream
        self._limits = Limits(slots=spec.slots, token_us_max=TOKEN_US_MAX)
        if is_open:
            self._limits = Limits(
                slots=spec.slots, queued_per_slot=1_000_000, wait_ms_max=1_000_000_000
            )
        self._admission = Admission(self._limits)
        self._guests: dict[int, _Guest] = {}
        self._by_attempt: dict[Attempt, _Guest] = {}
        self._latencies_ms: deque[float] = deque(maxlen=LATENCIES_MAX)
        self._sequence = 0
        self._is_sweeping = False

    # --- what routers ask -------------------------------------------------------------------------

    def arrive(self, attempt: Attempt, door: Door, first_token_ms: int, remaining_ms: int) -> None:
        """A request came."""
        if self.is_dead:
            self._fail(attempt, door, "unreachable")
        elif self.is_limited:
            self._fail(attempt, door, "rate_limited", QUOTA_RETRY_MS)
        elif self.is_rubbish:
            due_ns = self._kernel.now_ns + RUBBISH_MS * NS_PER_MS
            self._kernel.at(due_ns, self._fail, attempt, door, "malformed")
        else:
            self._admit(attempt, door, first_token_ms, remaining_ms)

    def _admit(self, attempt: Attempt, door: Door, first_token_ms: int, remaining_ms: int) -> None:
        request = attempt.request
        miss = max(1, request.input_tokens - self.engine.cache.match(request.blocks))
        arrival = Arrival(
            tenant=f"router-{door.number}",
            prompt_tokens=miss,
            first_token_ms=first_token_ms,
            remaining_ms=remaining_ms,
        )
        place = self._admission.offer(
            arrival,
            now_ms=self._now_ms,
            draw=self._stream.getrandbits(_DRAW_BITS),
            kv_usage_bp=round(self.engine.cache.usage * _BASIS_POINTS),
        )
        if isinstance(place, Refused):
            self._fail(attempt, door, "refused", place.retry_after_ms)
            return
        job = Job(request, self._say_first, self._end)
        guest = _Guest(place.key, job, attempt, door)
        job.owner = guest
        self._guests[place.key] = self._by_attempt[attempt] = guest
        job.came_ns = self._kernel.now_ns
        self.arrived_tokens += miss
        self._pump()

    def cancel(self, attempt: Attempt) -> None:
        """Whoever asked does not want it any more."""
        guest = self._by_attempt.get(attempt)
        if guest is None:
            return
        self.wasted_tokens += self.engine.cancel(guest.job)
        self._leave(guest)

    def answer_probe(self, door: Door, asked_ns: int) -> None:
        """A router wants to know."""
        if not self.is_dead:
            self._wire.to_router(
                door.number, self.number, door.hear_probe, self.number, self.tell_status(), asked_ns
            )

    def tell_status(self) -> Status:
        """What the replica says of itself now."""
        self._sequence += 1
        admission = self._admission
        latencies_ms = self._latencies_ms
        return Status(
            sequence=self._sequence,
            slots=admission.slots,
            running=admission.running,
            queued=admission.queued,
            queued_tokens=admission.queued_prefill_tokens,
            memory_usage=self.engine.cache.usage,
            latency_ms=median(latencies_ms) if latencies_ms else 0.0,
            quota_domain=self.quota_domain,
        )

    # --- what goes wrong --------------------------------------------------------------------------

    def die(self) -> None:
        """Lose everything; who waits for an answer sees the connection break."""
        self.is_dead = True
        self.engine.clear()
        guests = list(self._guests.values())
        self._guests.clear()
        self._by_attempt.clear()
        self._admission = Admission(self._limits)
        for guest in guests:
            failure: Failure = "unreachable" if guest.job.first_ns < 0 else "gone"
            self._fail(guest.attempt, guest.door, failure)

    def revive(self) -> None:
        """Start anew, with nothing in memory."""
        self.is_dead = False

    # --- what the engine tells --------------------------------------------------------------------

    def _pump(self) -> None:
        now_ms = self._now_ms
        for key in self._admission.take_expired(now_ms=now_ms):
            guest = self._guests.pop(key)
            del self._by_attempt[guest.attempt]
            self._fail(guest.attempt, guest.door, "refused")
        for key in self._admission.take_ready(now_ms=now_ms):
            self.engine.submit(self._guests[key].job)
        if self._guests and not self._is_sweeping:
            self._is_sweeping = True
            self._kernel.after(SWEEP_MS * NS_PER_MS, self._sweep)

    def _sweep(self) -> None:
        """Look every second whether the batch is too slow, and who has waited too long."""
        self._is_sweeping = False
        self._admission.on_pace(round(self.engine.token_ns / NS_PER_US))
        self._pump()

    def _say_first(self, job: Job) -> None:
        guest: _Guest = job.owner
        self.input_tokens += job.request.input_tokens
        self.miss_tokens += job.miss_tokens
        self._latencies_ms.append((job.first_ns - job.came_ns) / NS_PER_MS)
        self._admission.on_first_token(guest.key, now_ms=self._now_ms)
        door = guest.door
        self._wire.to_router(
            door.number, self.number, door.hear_first, guest.attempt, self.tell_status()
        )

    def _end(self, job: Job) -> None:
        guest: _Guest = job.owner
        self._leave(guest)
        door = guest.door
        self._wire.to_router(
            door.number, self.number, door.hear_end, guest.attempt, self.tell_status()
        )

    def _leave(self, guest: _Guest) -> None:
        del self._guests[guest.key]
        del self._by_attempt[guest.attempt]
        self._admission.leave(guest.key, now_ms=self._now_ms)
        self._pump()

    def _fail(
        self, attempt: Attempt, door: Door, failure: Failure, retry_after_ms: int = 0
    ) -> None:
        status = None if self.is_dead else self.tell_status()
        self._wire.to_router(
            door.number, self.number, door.hear_failure, attempt, failure, retry_after_ms, status
        )

    @property
    def _now_ms(self) -> int:
        return self._kernel.now_ns // NS_PER_MS
