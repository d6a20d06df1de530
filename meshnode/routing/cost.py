"""What a query would cost on a replica: the predicted microseconds that routing compares."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from meshnode.routing.rates import OUTLIER_FACTOR

if TYPE_CHECKING:
    from meshnode.routing.rates import Rates
    from meshnode.routing.replica_state import ReplicaState
    from meshnode.routing.settings import Settings

_ONE = 1_024
"""A full replica, in fixed point."""
FILL_MAX = 8 * _ONE
"""Beyond eight requests a slot, more is no longer worse by its square."""
AGED_FILL = _ONE // 2
"""How full a replica at least is taken to be when its report is aged."""


class Cost(NamedTuple):
    """One replica's price for one query, by its parts."""

    total_us: int
    prefill_us: int
    decode_us: int
    penalty_us: int
    first_token_us: int
    """Predicted until the first token. The price of a full replica is higher than that: it is a
    price, so that queries go elsewhere first."""


def compute_cost(
    state: ReplicaState,
    rates: Rates,
    settings: Settings,
    *,
    requests: int,
    work_tokens: int,
    output_tokens: int,
    now_ms: int,
) -> Cost:
    """Price a query: round trip, prefill of queue and prompt at the learned rate, decoding."""
    fill = min(requests * _ONE // state.slots, FILL_MAX)
    if now_ms - state.received_ms > settings.aged_ms:
        fill = max(fill, AGED_FILL)
    congestion = settings.congestion_permille * fill * fill // (1_000 * _ONE)
    prefill_ns = rates.prefill_ns
    overdue_ns = state.find_overdue_ns(now_ms)
    if overdue_ns > prefill_ns:
        prefill_ns = min(overdue_ns, OUTLIER_FACTOR * prefill_ns)
    plain_us = prefill_ns * work_tokens // 1_000
    prefill_us = plain_us * (_ONE + congestion) // _ONE
    first_us = state.rtt_us + plain_us
    decode_us = rates.decode_ns * output_tokens * settings.decode_weight_permille // 1_000_000
    predicted_us = state.rtt_us + prefill_us + decode_us
    if state.fault_ms is None or now_ms - state.fault_ms >= settings.failure_ms:
        return Cost(predicted_us, prefill_us, decode_us, 0, first_us)
    penalty_us = max(0, settings.failure_ms * 1_000 - predicted_us)
    return Cost(predicted_us + penalty_us, prefill_us, decode_us, penalty_us, first_us)
