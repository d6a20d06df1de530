"""What a query would cost on a replica: the predicted microseconds that routing compares."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from meshnode.routing.replica_state import ReplicaState
    from meshnode.routing.settings import Settings

_FILL_ONE = 1_024
"""A full replica, in fixed point."""
FILL_MAX = 8 * _FILL_ONE
"""Beyond eight requests a slot, more is no longer worse by its square."""
AGED_FILL = _FILL_ONE // 2
"""How full a replica at least is taken to be when its report is aged."""


class Cost(NamedTuple):
    """One replica's price for one query, by its parts."""

    total_us: int
    rtt_us: int
    prefill_us: int
    decode_us: int
    penalty_us: int
    miss_tokens: int


def compute_cost(
    state: ReplicaState,
    settings: Settings,
    *,
    model: str,
    prompt_tokens: int,
    cached_tokens: int,
    output_tokens: int,
    now_ms: int,
) -> Cost:
    """Price a query: round trip, queue and uncached prompt at the learned rate, decoding."""
    rates = state.find_rates(model)
    miss = max(settings.miss_tokens_min, prompt_tokens - cached_tokens)
    fill = min(state.requests * _FILL_ONE // state.slots, FILL_MAX)
    age_ms = state.age_ms(now_ms)
    if age_ms < 0 or age_ms > settings.aged_ms:
        fill = max(fill, AGED_FILL)
    congestion = settings.congestion_permille * fill * fill // (1_000 * _FILL_ONE)
    prefill_ns = rates.prefill_ns * (state.queue_tokens + miss)
    prefill_us = prefill_ns * (_FILL_ONE + congestion) // (_FILL_ONE * 1_000)
    decode_ns = rates.decode_ns * output_tokens
    decode_us = decode_ns * settings.decode_weight_permille // 1_000_000
    predicted_us = state.rtt_us + prefill_us + decode_us
    total_us = predicted_us
    if state.fault_ms is not None and now_ms - state.fault_ms < settings.failure_ms:
        total_us = max(predicted_us, settings.failure_ms * 1_000)
    return Cost(total_us, state.rtt_us, prefill_us, decode_us, total_us - predicted_us, miss)
