"""Every attempt teaches something, once, and nothing after its end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from meshnode.routing.attempts import Attempts
from meshnode.routing.faults import Fault
from meshnode.routing.hedging import SAMPLES_MIN, PredictionErrors
from meshnode.routing.rates import WORK_TOKENS
from meshnode.routing.report import Peer
from meshnode.routing.selection import Knowledge, choose
from tests.support.routing import NO_EXPLORING, QUERY, get_chosen, make_state

TENANT = replace(QUERY, tenant="t", prefix=(1,))


class Bench:
    """Attempts at one replica, `p`."""

    def __init__(self) -> None:
        self.knowledge = Knowledge.make(NO_EXPLORING)
        self.state = self.knowledge.states["p"] = make_state(peer=Peer(id="p"))
        self.errors = PredictionErrors()
        self.attempts = Attempts(self.knowledge, self.errors)
        self.candidate = get_chosen(choose(self.knowledge, TENANT, now_ms=0, draw=0))
        self.service = self.state.find_service("m")
        self.rates = self.service.rates

    def begin(self, *, now_ms: int = 0) -> int:
        return self.attempts.begin(TENANT, self.candidate, now_ms=now_ms)

    def fail(self, fault: Fault, *, now_ms: int = 0) -> None:
        self.attempts.fail(self.begin(), fault, now_ms=now_ms, draw=0, retry_after_ms=0)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_first_token_teaches_prefill_and_who_holds_the_prompt(bench):
    ticket = bench.begin()
    assert bench.attempts.find(ticket) is not None
    bench.attempts.note_first_token(ticket, now_ms=1_300)
    bench.attempts.note_first_token(ticket, now_ms=9_000)
    assert bench.rates.prefill_ns == 300_000 + (1_300_000 - 300_000) * 1_000 // (5 * WORK_TOKENS)
    assert bench.knowledge.prefixes.find_depths((1,), now_ms=0) == {"p": 1}


def test_first_token_of_a_query_without_prefix_tells_of_none(bench):
    ticket = bench.attempts.begin(QUERY, bench.candidate, now_ms=0)
    bench.attempts.note_first_token(ticket, now_ms=1_000)
    assert bench.knowledge.prefixes.find_depths((1,), now_ms=0) == {}


def test_first_tokens_teach_how_late_predictions_are(bench):
    for _ in range(SAMPLES_MIN):
        bench.attempts.note_first_token(bench.begin(), now_ms=5_300)
    assert bench.errors.hedge_delay_ms(0) == 5_000


def test_tokens_teach_decoding_in_stretches_and_gaps(bench):
    ticket = bench.begin()
    bench.attempts.note_tokens(ticket, 5, now_ms=50)
    bench.attempts.note_first_token(ticket, now_ms=100)
    bench.attempts.note_tokens(ticket, 8, now_ms=420)
    assert bench.rates.decode_ns == 30_000_000
    bench.attempts.note_tokens(ticket, 8, now_ms=740)
    assert bench.rates.decode_ns == 31_000_000
    assert bench.service.gaps.find_long_ms() > 320
    bench.attempts.finish(ticket, now_ms=5_000, output_tokens=0)
    assert bench.rates.decode_ns == 31_000_000
    assert bench.knowledge.lengths.predict("t", "m", 0) == 343 + (17 - 343) // 10
    bench.attempts.note_tokens(ticket, 8, now_ms=6_000)


def test_end_teaches_decoding_where_no_tokens_were_told(bench):
    ticket = bench.begin()
    bench.attempts.note_first_token(ticket, now_ms=100)
    bench.attempts.finish(ticket, now_ms=500, output_tokens=11)
    assert bench.rates.decode_ns == 31_000_000
    assert bench.state.requests == 0
    ticket = bench.begin()
    bench.attempts.finish(ticket, now_ms=500, output_tokens=1)
    assert bench.rates.decode_ns == 31_000_000


def test_failures_of_the_replica_count_against_it(bench):
    for _ in range(5):
        bench.fail(Fault.UNREACHABLE, now_ms=10)
    assert not bench.service.breaker.allows(10)
    assert bench.state.fault_ms == 10


def test_deadline_that_was_short_says_that_a_replica_is_late_not_broken(bench):
    for _ in range(10):
        bench.fail(Fault.TIMEOUT, now_ms=14_999)
    assert bench.service.breaker.allows(14_999)
    for _ in range(5):
        bench.fail(Fault.TIMEOUT, now_ms=15_000)
    assert not bench.service.breaker.allows(15_000)


def test_storm_of_refusals_opens_no_breaker(bench):
    for _ in range(1_000):
        bench.fail(Fault.RATE_LIMITED)
        bench.fail(Fault.OVERLOADED)
    assert bench.service.breaker.allows(0)
    assert bench.state.fault_ms == 0
    assert bench.knowledge.cooldowns.wait_ms("peer p", 0) == 1_000


def test_failures_of_the_query_say_nothing_of_the_replica(bench):
    for _ in range(10):
        bench.fail(Fault.BAD_REQUEST)
    assert bench.service.breaker.allows(0)
    assert bench.state.fault_ms is None
    assert not bench.service.is_disabled(0)


def test_refusal_for_good_disables_the_model(bench):
    bench.fail(Fault.FORBIDDEN)
    assert bench.service.is_disabled(0)


def test_time_out_teaches_that_the_replica_is_at_least_so_slow(bench):
    bench.fail(Fault.TIMEOUT, now_ms=1_300)
    assert bench.rates.prefill_ns == 397_656
    ticket = bench.begin()
    bench.attempts.note_first_token(ticket, now_ms=500)
    before = bench.rates.prefill_ns
    bench.attempts.fail(ticket, Fault.STALLED, now_ms=90_000, draw=0, retry_after_ms=0)
    assert bench.rates.prefill_ns == before


def test_cancelled_attempt_teaches_only_that_it_was_late(bench):
    bench.attempts.cancel(bench.begin(), now_ms=200)
    assert bench.rates.prefill_ns == 300_000
    bench.attempts.cancel(bench.begin(), now_ms=1_300)
    assert bench.rates.prefill_ns == 397_656
    assert bench.state.fault_ms is None
    assert bench.state.requests == 0


def test_calls_with_a_ticket_that_is_over_do_nothing(bench):
    ticket = bench.begin()
    bench.attempts.finish(ticket, now_ms=10, output_tokens=0)
    before = repr(vars(bench.state))
    bench.attempts.note_first_token(ticket, now_ms=20)
    bench.attempts.finish(ticket, now_ms=20, output_tokens=0)
    bench.attempts.cancel(ticket, now_ms=20)
    bench.attempts.fail(ticket, Fault.INTERNAL, now_ms=20, draw=0, retry_after_ms=0)
    assert repr(vars(bench.state)) == before
    assert bench.attempts.find(ticket) is None


def test_attempts_at_a_forgotten_peer_are_forgotten(bench):
    ticket = bench.begin()
    other = bench.knowledge.states["q"] = make_state(peer=Peer(id="q"))
    kept = bench.attempts.begin(TENANT, bench.candidate._replace(peer="q"), now_ms=0)
    del bench.knowledge.states["p"]
    bench.attempts.forget("p")
    bench.attempts.finish(ticket, now_ms=10, output_tokens=3)
    assert other.requests == 1
    bench.attempts.finish(kept, now_ms=10, output_tokens=3)
    assert other.requests == 0
    assert bench.attempts.find(bench.begin()) is None
