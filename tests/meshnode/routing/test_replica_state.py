"""A replica's load is its report, corrected by what this node sent and saw end since."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshnode.routing.replica_state import (
    REQUESTS_MAX,
    SERVICES_MAX,
    SLOTS_MAX,
    TOKENS_MAX,
    ReplicaState,
)
from meshnode.routing.report import ModelOffer, Peer
from meshnode.routing.settings import Settings
from tests.support.routing import make_report, make_state


def test_state_is_empty_before_a_report():
    state = ReplicaState(Peer(id="p", name="ann"), Settings())
    assert (state.name, state.requests, state.queue_tokens, state.slots) == ("ann", 0, 0, 1)
    assert state.age_ms(10) == -1
    assert state.domain == "peer p"
    assert state.find_overdue_ns(10) == 0
    assert state.find_service("m").rates.prefill_ns == Settings().prefill_ns_start


def test_state_counts_own_requests_on_top_of_the_report():
    state = make_state(running=2, queued=1, queued_prefill_tokens=500)
    assert (state.requests, state.queue_tokens) == (3, 500)
    state.begin(1, 100, now_ms=10)
    assert (state.requests, state.queue_tokens) == (4, 600)
    state.prefilled(1)
    assert (state.requests, state.queue_tokens) == (4, 500)
    state.end(1)
    assert (state.requests, state.queue_tokens) == (3, 500)


def test_state_does_not_count_twice_what_a_report_counted():
    state = make_state()
    state.begin(1, 100, now_ms=10)
    state.begin(2, 100, now_ms=10)
    state.prefilled(2)
    state.take_report(make_report(2, running=2, queued_prefill_tokens=100), now_ms=1_000)
    assert (state.requests, state.queue_tokens) == (2, 100)
    state.end(1)
    state.end(2)
    assert (state.requests, state.queue_tokens) == (0, 0)


def test_state_adds_what_a_report_was_too_early_for():
    state = make_state()
    state.take_rtt(100_000, now_ms=0)
    state.begin(1, 100, now_ms=950)
    state.begin(2, 50, now_ms=950)
    state.prefilled(2)
    state.take_report(make_report(2, running=5, queued_prefill_tokens=10), now_ms=1_000)
    assert (state.requests, state.queue_tokens) == (7, 110)
    state.end(2)
    assert (state.requests, state.queue_tokens) == (6, 110)


def test_state_never_counts_fewer_than_the_own_requests():
    state = make_state()
    state.begin(1, 100, now_ms=0)
    state.take_report(make_report(2), now_ms=1_000)
    assert (state.requests, state.queue_tokens) == (1, 100)


def test_state_keeps_the_newest_report_only():
    state = make_state(sequence=5, running=5)
    assert not state.take_report(make_report(5, running=1), now_ms=10)
    assert not state.take_report(make_report(4, running=1), now_ms=10)
    assert state.requests == 5
    assert state.take_report(make_report(1, incarnation=1, running=1), now_ms=10)
    assert (state.requests, state.age_ms(25)) == (1, 15)


def test_state_that_still_holds_is_young_again():
    state = make_state(running=3)
    assert not state.confirm(now_ms=1_999)
    assert (state.requests, state.age_ms(1_999)) == (3, 1_999)
    assert state.confirm(now_ms=2_000)
    assert (state.requests, state.age_ms(2_500)) == (3, 500)
    assert not state.confirm(now_ms=1_000)
    assert state.age_ms(2_500) == 500


def test_state_without_a_report_has_nothing_to_confirm():
    state = ReplicaState(Peer(id="a"), Settings())
    assert not state.confirm(now_ms=5_000)
    assert state.age_ms(5_000) == -1


def test_state_clips_claims():
    state = make_state(
        slots=10**9, running=10**9, queued=-5, queued_prefill_tokens=10**12, draining=True
    )
    assert (state.slots, state.requests, state.queue_tokens) == (
        SLOTS_MAX,
        REQUESTS_MAX,
        TOKENS_MAX,
    )
    state.take_report(make_report(2, slots=-1, queued_prefill_tokens=-7), now_ms=1)
    assert (state.slots, state.requests, state.queue_tokens) == (1, 0, 0)


def test_state_averages_round_trips_over_half_a_minute():
    state = make_state()
    state.take_rtt(10_000, now_ms=0)
    assert state.rtt_us == 10_000
    state.take_rtt(40_000, now_ms=30_000)
    assert state.rtt_us == 25_000
    state.take_rtt(-5, now_ms=30_000)
    assert 0 < state.rtt_us < 25_000


def test_state_takes_a_quota_domain_only_from_who_is_trusted():
    assert make_state(quota_domain="org").domain == "peer p"
    assert make_state(peer=Peer(id="p", trusted=True), quota_domain="org").domain == "domain org"
    assert make_state(peer=Peer(id="p", local=True), quota_domain="org").domain == "domain org"


def test_state_finds_what_the_longest_wait_disproves():
    state = make_state(queued_prefill_tokens=1_000)
    state.take_rtt(50_000, now_ms=0)
    state.begin(1, 1_000, now_ms=0)
    assert state.find_overdue_ns(10) == 0
    assert state.find_overdue_ns(2_050) == 1_000_000
    state.prefilled(1)
    assert state.find_overdue_ns(2_050) == 0


def test_state_learns_of_a_bounded_number_of_models():
    state = make_state(prefill_ns=12_345)
    first = state.find_service("m")
    assert first.rates.prefill_ns == 12_345
    assert state.find_service("m") is first
    for number in range(SERVICES_MAX):
        state.find_service(f"model {number}")
    assert state.find_service("m") is not first


def test_state_asks_again_for_what_was_refused_when_the_offer_changes():
    state = make_state()
    state.find_service("m").disabled_ms = 0
    state.take_report(make_report(2), now_ms=1)
    assert state.find_service("m").is_disabled(1)
    state.take_report(make_report(3, incarnation=1), now_ms=1)
    assert not state.find_service("m").is_disabled(1)
    state.find_service("m").disabled_ms = 0
    state.take_report(make_report(4, incarnation=1, models=(ModelOffer(id="x"),)), now_ms=1)
    assert not state.find_service("m").is_disabled(1)


@given(st.lists(st.tuples(st.sampled_from("bfer"), st.integers(0, 5)), max_size=40))
def test_state_is_idle_when_all_own_requests_ended(steps):
    state = make_state()
    running: dict[int, bool] = {}
    for now_ms, (step, number) in enumerate(steps):
        if step == "b" and number not in running:
            state.begin(number, 10, now_ms=now_ms)
            running[number] = True
        elif step == "f" and number in running:
            assert (state.prefilled(number) is not None) == running[number]
            running[number] = False
        elif step == "e" and number in running:
            state.end(number)
            del running[number]
        elif step == "r":
            state.take_report(make_report(now_ms + 2), now_ms=now_ms)
        assert state.requests >= len(running)
    for number in running:
        state.end(number)
    state.take_report(make_report(1_000), now_ms=1_000)
    assert (state.requests, state.queue_tokens) == (0, 0)
