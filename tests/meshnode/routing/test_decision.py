"""A decision can be read: the chosen replica first, the others by cost, then those left out."""

from __future__ import annotations

from meshnode.routing.faults import Fault
from meshnode.routing.report import Peer
from tests.support.routing import QUERY, get_chosen, make_report, make_router


def test_decision_explains_every_replica():
    router = make_router("a", "b", "c", "d")
    router.on_peer(Peer(id="a", name="ann"))
    router.on_report("c", make_report(2, draining=True), now_ms=0)
    router.on_report("d", make_report(2, running=8), now_ms=0)
    router.on_rtt("b", 15_000, now_ms=0)
    decision = router.choose(QUERY, now_ms=0, draw=0)
    tokens, decode, slots = "for 0 queued + 1000 new tokens", "decode 5145 ms", "on 8 slots"
    assert decision.explain() == (
        f"ann: cost 5445 ms (rtt 0.0 ms, prefill 300 ms {tokens}, {decode}; 0 requests {slots})",
        f"b: cost 5460 ms (rtt 15 ms, prefill 300 ms {tokens}, {decode}; 0 requests {slots})",
        f"d: cost 5745 ms (rtt 0.0 ms, prefill 600 ms {tokens}, {decode}; 8 requests {slots})",
        "c: draining",
    )


def test_decision_explains_caches_faults_and_suspicion():
    router = make_router("a", slots=1)
    router.on_prefixes("a", (1,), now_ms=0)
    ticket = router.on_sent(QUERY, get_chosen(router.choose(QUERY, now_ms=0, draw=0)), now_ms=0)
    router.on_failure(ticket, Fault.TIMEOUT, now_ms=14_000, draw=0)
    query = QUERY.__class__(model="m", prompt_tokens=1_000, prefix=(1,), max_output_tokens=1)
    decision = router.choose(query, now_ms=15_000, draw=0)
    (line,) = decision.explain()
    assert line.startswith("a: cost 5000 ms (rtt 0.0 ms, prefill 343 ms for 0 queued + 488 new")
    doubts = "decode 15 ms, 512 tokens cached, failed lately +4641 ms, suspect"
    assert line.endswith(f"{doubts}; 0 requests on 1 slots)")


def test_decision_shows_long_times_in_seconds():
    router = make_router("a")
    query = QUERY.__class__(model="m", prompt_tokens=90_000)
    (line,) = router.choose(query, now_ms=0, draw=0).explain()
    assert line.startswith("a: cost 32 s (rtt 0.0 ms, prefill 27 s for 0 queued + 90000 new")


def test_decision_that_chose_nobody_explains_why():
    router = make_router("a", running=1)
    decision = router.choose(QUERY.__class__(model="x"), now_ms=0, draw=0)
    assert decision.chosen is None
    assert decision.explain() == ("a: serves m",)
    slow = make_router("a", prefill_ns=10_000_000_000)
    slow.on_sent(QUERY, get_chosen(slow.choose(QUERY, now_ms=0, draw=0)), now_ms=0)
    decision = slow.choose(QUERY, now_ms=0, draw=0)
    assert decision.explain() == ("a: a first token is expected after 20000000 ms",)
