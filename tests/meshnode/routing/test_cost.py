"""The cost of a query grows with distance, queue, prompt, answer and load."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from meshnode.routing.cost import AGED_FILL, Cost, compute_cost
from meshnode.routing.settings import Settings
from tests.support.routing import make_state

SETTINGS = Settings()


def price(state=None, *, settings=SETTINGS, now_ms=0, requests=0, work=1_000, output=100) -> Cost:
    state = state or make_state()
    return compute_cost(
        state,
        state.find_service("m").rates,
        settings,
        requests=requests,
        work_tokens=work,
        output_tokens=output,
        now_ms=now_ms,
    )


def test_cost_adds_round_trip_prefill_and_half_the_decoding():
    state = make_state()
    state.take_rtt(20_000, now_ms=0)
    cost = price(state)
    assert cost == Cost(20_000 + 300_000 + 1_500_000, 300_000, 1_500_000, 0, 320_000)


def test_cost_of_prefill_doubles_when_all_slots_are_taken():
    assert price(requests=8).prefill_us == 2 * price(requests=0).prefill_us
    assert price(requests=8).first_token_us == price(requests=0).first_token_us
    assert price(requests=10_000).prefill_us == 65 * price(requests=0).prefill_us


def test_cost_takes_an_aged_report_for_half_full():
    fresh, aged = price(now_ms=3_000), price(now_ms=3_001)
    assert aged.prefill_us * 1_024 == fresh.prefill_us * (1_024 + AGED_FILL * AGED_FILL // 1_024)
    assert price(now_ms=3_001, requests=8) == price(now_ms=3_000, requests=8)


def test_cost_is_at_least_five_seconds_after_a_failure():
    state = make_state()
    state.fault_ms = 0
    cost = price(state, now_ms=100)
    assert cost.total_us == 5_000_000
    assert cost.penalty_us == 5_000_000 - 1_800_000
    assert price(state, now_ms=100, work=100_000).penalty_us == 0
    assert price(state, now_ms=5_000).penalty_us == 0


def test_cost_believes_a_long_wait_before_it_has_ended():
    state = make_state()
    state.begin(1, 1_000, now_ms=0)
    assert price(state, now_ms=100).prefill_us == 300_000
    assert price(state, now_ms=600).prefill_us == 600_000
    assert price(state, now_ms=60_000).prefill_us == 3_000_000 * 1_280 // 1_024


@given(
    st.integers(0, 300),
    st.integers(0, 10**6),
    st.integers(0, 10**5),
    st.integers(0, 10**4),
    st.integers(0, 10**3),
)
def test_cost_is_monotone(requests, work, output, more, more_requests):
    state = make_state()
    least = price(state, requests=requests, work=work, output=output)
    for greater in (
        price(state, requests=requests + more_requests, work=work, output=output),
        price(state, requests=requests, work=work + more, output=output),
        price(state, requests=requests, work=work, output=output + more),
        price(
            state,
            settings=replace(SETTINGS, decode_weight_permille=2_000),
            requests=requests,
            work=work,
            output=output,
        ),
    ):
        assert greater.total_us >= least.total_us
