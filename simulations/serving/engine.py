"""An engine: slots, one prefill unit, and a decode batch that slows down as it grows.

A request takes a slot and memory, has the part of its prompt that no cache holds computed, says its
first token, and then decodes together with all others. Prompts are computed one after the other, or
in chunks in turn (Sarathi, Agrawal et al., OSDI 2024), which lets short ones past long ones.

In a batch of b sequences a token takes `decode_ms + decode_per_sequence_ms * b`, longer while
prompts are computed. Every sequence of a batch advances alike, so that one clock counts the tokens
of all of them, and who ends next is the top of a heap.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any, Final

from simulations.kernel import NS_PER_MS, Kernel
from simulations.serving.cache import PrefixCache
from simulations.serving.traces import Request

NS_PER_S: Final = 1_000 * NS_PER_MS
MISS_TOKENS_MIN: Final = 1
"""At least the last token of a prompt is computed, whatever the cache holds."""


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """What an engine can do when nothing is wrong."""

    prefill_tokens_per_s: float
    slots: int
    decode_ms: float = 20.0
    """For a token, before the batch is counted."""
    decode_per_sequence_ms: float = 1.0
    memory_tokens: int = 400_000
    chunk_tokens: int = 0
    """Prompts are computed in pieces of this size in turn; 0 for one prompt after the other."""
    interference: float = 0.25
    """By which share a token takes longer while a prompt is computed."""

    def tell_decode_ms(self, batch: int) -> float:
        """What a token takes in a batch of this size."""
        return self.decode_ms + self.decode_per_sequence_ms * batch


@dataclass(slots=True, eq=False)
class Job:
    """A request in an engine."""

    request: Request
    on_first: Callable[[Job], None]
    on_end: Callable[[Job], None]
    owner: Any = None
    """Whatever its owner wants to find again."""
    came_ns: int = 0
    miss_tokens: int = 0
    """Of the prompt, not in the cache when it got its slot."""
    left_tokens: float = 0.0
    """Of these, still to be computed."""
    is_running: bool = False
    is_gone: bool = False
    first_ns: int = -1
    end_at: float = 0.0
    """On the clock of decoded tokens."""
    pinned_tokens: int = 0


class Engine:
    """Runs jobs in the order they come."""

    def __init__(self, kernel: Kernel, target: int, spec: EngineSpec) -> None:
        self.spec = spec
        self.cache = PrefixCache(spec.memory_tokens)
        self.waiting: deque[Job] = deque()
        """Jobs without a slot or memory yet."""
        self.running = 0
        self.slowdown = 1.0
        self.prefilled_tokens = 0
        """Computed so far, of prompts that are done."""
        self._kernel = kernel
        self._target = target
        self._prefills: deque[Job] = deque()
        self._chunk_tokens = 0.0
        self._chunk_since_ns = 0
        self._chunk_rate = 0.0
        self._prefill_generation = 0
        self._decodes: list[tuple[float, int, Job]] = []
        self._batch = 0
        self._tokens = 0.0
        self._tokens_since_ns = 0
        self.token_ns = 0.0
        """What a token of every sequence takes now."""
        self._decode_generation = 0
        self._numbers = 0
        kernel.register(target, self._handle)

    # --- from outside ---------------------------------------------------------------------------

    @property
    def has_room(self) -> bool:
        """Whether a slot is free."""
        return self.running < self.spec.slots

    def start(self, job: Job) -> bool:
        """Give a job a slot and memory; False if either lacks."""
        request = job.request
        need = request.input_tokens + request.output_tokens
        if not self.has_room or not self.cache.pin(need):
            return False
        job.pinned_tokens = need
        cached = self.cache.match(request.blocks)
        job.miss_tokens = max(MISS_TOKENS_MIN, request.input_tokens - cached)
        job.left_tokens = float(job.miss_tokens)
        job.is_running = True
        self.running += 1
        self._prefills.append(job)
        if len(self._prefills) == 1:
            self._begin_chunk()
            self._retime_decodes()
        return True

    def submit(self, job: Job) -> None:
        """Run a job as soon as there is room, in the order of coming."""
        self.waiting.append(job)
        self._start_waiting()

    def cancel(self, job: Job) -> int:
        """Drop a job wherever it is; answers how many tokens were computed for nothing."""
        if job.is_gone:
            return 0
        job.is_gone = True
        if not job.is_running:
            return 0
        if job.first_ns < 0:
            self._drop_prefill(job)
            spent = job.miss_tokens - job.left_tokens
        else:
            self._advance()
            self._batch -= 1
            self._schedule_decode()
            spent = job.miss_tokens + job.request.output_tokens - (job.end_at - self._tokens)
        self._release(job)
        return int(spent)

    def set_slowdown(self, factor: float) -> None:
        """Let all take so much longer from now on."""
        self._stop_chunk()
        self.slowdown = factor
        if self._prefills:
            self._begin_chunk()
        self._retime_decodes()

    def clear(self) -> None:
        """Forget every job and the cache, as a killed process does."""
        for _, _, job in self._decodes:
            job.is_gone = True
        for job in (*self._prefills, *self.waiting):
            job.is_gone = True
        self._decodes.clear()
        self._prefills.clear()
        self.waiting.clear()
        self._batch = self.running = 0
        self._chunk_rate = 0.0
        self._prefill_generation += 1
        self._decode_generation += 1
        self.cache.clear()

    # --- the prefill unit -----------------------------------------------------------------------

    def _begin_chunk(self) -> None:
        job = self._prefills[0]
        tokens = job.left_tokens
        if self.spec.chunk_tokens:
            tokens = min(tokens, self.spec.chunk_tokens)
        rate = self.spec.prefill_tokens_per_s / self.slowdown / NS_PER_S
        self._chunk_tokens = tokens
        self._chunk_since_ns = self._kernel.now_ns
        self._chunk_rate = rate
        self._prefill_generation += 1
        due_ns = self._kernel.now_ns + round(tokens / rate)
        self._kernel.schedule(due_ns, self._target, _PREFILL, self._prefill_generation)

    def _stop_chunk(self) -> None:
        """Book what was computed of the piece under way, and forget the rest of it."""
        if not self._prefills or not self._chunk_rate:
            return
        done = (self._kernel.now_ns - self._chunk_since_ns) * self._chunk_rate
        done = min(done, self._chunk_tokens)
        self._prefills[0].left_tokens -= done
        self._chunk_rate = 0.0
        self._prefill_generation += 1

    def _end_chunk(self) -> None:
        job = self._prefills.popleft()
        job.left_tokens -= self._chunk_tokens
        self._chunk_rate = 0.0
        is_computed = job.left_tokens < 1e-6  # what is left of a sum of floats
        if not is_computed:
            self._prefills.append(job)
        if self._prefills:
            self._begin_chunk()
        if is_computed:
            self._say_first(job)

    def _drop_prefill(self, job: Job) -> None:
        is_first = self._prefills[0] is job
        if is_first:
            self._stop_chunk()
        self._prefills.remove(job)
        if is_first and self._prefills:
            self._begin_chunk()
        if not self._prefills:
            self._retime_decodes()

    def _say_first(self, job: Job) -> None:
        request = job.request
        self.prefilled_tokens += job.miss_tokens
        job.first_ns = self._kernel.now_ns
        self.cache.keep(request.blocks)
        self._advance()
        if request.output_tokens > 1:
            self._numbers += 1
            job.end_at = self._tokens + request.output_tokens - 1
            heappush(self._decodes, (job.end_at, self._numbers, job))
            self._batch += 1
        self._schedule_decode()
        job.on_first(job)
        if request.output_tokens <= 1:
            self._end(job)

    # --- the decode batch -----------------------------------------------------------------------

    def _advance(self) -> None:
        """Bring the clock of decoded tokens to now."""
        now_ns = self._kernel.now_ns
        if self._batch and self.token_ns:
            self._tokens += (now_ns - self._tokens_since_ns) / self.token_ns
        self._tokens_since_ns = now_ns

    def _retime_decodes(self) -> None:
        self._advance()
        self._schedule_decode()

    def _schedule_decode(self) -> None:
        """Say when the next sequence ends, at the pace that holds from now on."""
        self._decode_generation += 1
        decodes = self._decodes
        while decodes and decodes[0][2].is_gone:
            heappop(decodes)
        if not decodes:
            return
        pace = self.spec.tell_decode_ms(self._batch) * self.slowdown * NS_PER_MS
        self.token_ns = pace * (1 + self.spec.interference) if self._prefills else pace
        wait_ns = round((decodes[0][0] - self._tokens) * self.token_ns)
        due_ns = self._kernel.now_ns + max(0, wait_ns)
        self._kernel.schedule(due_ns, self._target, _DECODE, self._decode_generation)

    def _end_decodes(self) -> None:
        self._advance()
        ended: list[Job] = []
        decodes = self._decodes
        while decodes and (decodes[0][2].is_gone or decodes[0][0] <= self._tokens + 1e-3):
            _, _, job = heappop(decodes)
            if not job.is_gone:
                ended.append(job)
        self._batch -= len(ended)
        self._schedule_decode()
        for job in ended:
            self._end(job)

    # --- coming and going -----------------------------------------------------------------------

    def _end(self, job: Job) -> None:
        job.is_gone = True
        self._release(job)
        job.on_end(job)

    def _release(self, job: Job) -> None:
        self.running -= 1
        self.cache.unpin(job.pinned_tokens)
        self._start_waiting()

    def _start_waiting(self) -> None:
        waiting = self.waiting
        while waiting and (waiting[0].is_gone or self.start(waiting[0])):
            waiting.popleft()

    def _handle(self, kind: int, payload: int) -> None:
        if kind == _PREFILL and payload == self._prefill_generation:
            self._end_chunk()
            if not self._prefills:
                self._retime_decodes()
        elif kind == _DECODE and payload == self._decode_generation:
            self._end_decodes()


_PREFILL: Final = 0
_DECODE: Final = 1
