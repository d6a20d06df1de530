"""The router as its node uses it: reports, ghosts, retries, resumes, hedges."""

from __future__ import annotations

from dataclasses import replace

from meshnode.routing.decision import Obstacle, Reason
from meshnode.routing.faults import Fault
from meshnode.routing.hedging import SAMPLES_MIN
from meshnode.routing.report import ModelOffer, Peer
from meshnode.routing.router import BURIED_MAX, Router
from meshnode.routing.settings import Settings
from tests.support.routing import OFFER, QUERY, get_chosen, make_report, make_router


def send(router: Router, peer: str, query=QUERY, *, now_ms: int = 0) -> int:
    chosen = get_chosen(router.choose(replace(query, peer=peer), now_ms=now_ms, draw=0))
    return router.on_sent(query, chosen, now_ms=now_ms)


def fail(router: Router, peer: str, fault: Fault = Fault.UNREACHABLE, *, now_ms: int = 0) -> None:
    ticket = send(router, peer, now_ms=now_ms)
    router.on_failure(ticket, fault, now_ms=now_ms, draw=0, retry_after_ms=5_000)


def is_known(router: Router, peer: str) -> bool:
    candidates = router.choose(QUERY, now_ms=0, draw=0).candidates
    return any(each.peer == peer for each in candidates)


# --- what is known of replicas --------------------------------------------------------------------


def test_router_takes_newer_reports_only():
    router = make_router("a")
    assert not router.on_report("a", make_report(1), now_ms=0)
    assert router.on_report("a", make_report(2, draining=True), now_ms=0)
    assert router.choose(QUERY, now_ms=0, draw=0).candidates[0].obstacle is Obstacle.DRAINING


def test_router_does_nothing_for_strangers():
    router = Router()
    router.on_rtt("a", 1, now_ms=0)
    router.on_heartbeat("a", now_ms=0)
    router.on_heard("a", now_ms=0)
    router.on_probe("a", reached=True, now_ms=0)
    router.on_prefixes("a", (1,), now_ms=0)
    router.forget("a")
    assert not is_known(router, "a")
    assert router.stall_timeout_ms("a", "m") == 15_000


def test_router_ends_a_cooldown_for_load_when_a_report_shows_room():
    router = make_router("a")
    fail(router, "a", Fault.OVERLOADED)
    full = make_report(2, running=8)
    router.on_report("a", full, now_ms=100)
    assert router.choose(QUERY, now_ms=100, draw=0).chosen is None
    router.on_report("a", make_report(3, running=7), now_ms=200)
    assert router.choose(QUERY, now_ms=200, draw=0).chosen is not None


def test_router_cools_down_the_whole_quota_domain():
    router = Router(Settings(exploration_permille=0))
    for peer in "abc":
        router.on_peer(Peer(id=peer, trusted=True))
        router.on_report(peer, make_report(quota_domain="x" * (peer != "c")), now_ms=0)
    fail(router, "a", Fault.RATE_LIMITED)
    assert get_chosen(router.choose(QUERY, now_ms=0, draw=0)).peer == "c"


def test_router_learns_prefixes_by_change_and_by_snapshot():
    router = make_router("a", "b")
    query = replace(QUERY, prefix=(1,))
    router.on_prefixes("a", (1,), now_ms=0)
    assert get_chosen(router.choose(query, now_ms=0, draw=0)).peer == "a"
    router.on_prefixes("a", (2,), now_ms=0, removed=(1,))
    router.on_prefixes("b", (1, 3), now_ms=0)
    assert get_chosen(router.choose(query, now_ms=0, draw=0)).peer == "b"
    router.on_prefixes("b", (3,), now_ms=0, is_snapshot=True)
    assert get_chosen(router.choose(query, now_ms=0, draw=0)).cached_tokens == 0


def test_router_names_who_is_due_for_a_probe():
    router = make_router("b", "a")
    router.on_peer(Peer(id="c"))
    router.on_peer(Peer(id="own", local=True))
    assert router.list_due_probes(now_ms=999) == ("c",)
    assert router.list_due_probes(now_ms=1_000) == ("a", "b", "c")


def test_router_keeps_a_report_while_the_connection_that_brought_it_is_heard():
    router = make_router("a", "b")
    for now_ms in range(5_000, 60_000, 5_000):
        router.on_heard("a", now_ms=now_ms)
    judged = {each.peer: each for each in router.choose(QUERY, now_ms=60_000, draw=0).candidates}
    assert judged["b"].obstacle is Obstacle.EXPIRED
    assert judged["a"].obstacle is None
    assert not judged["a"].is_suspect


def test_router_sees_a_change_at_once_however_often_the_last_report_was_confirmed():
    router = make_router("a", "b")
    for now_ms in range(2_000, 20_000, 2_000):
        for peer in "ab":
            router.on_heard(peer, now_ms=now_ms)
    router.on_report("a", make_report(2, running=8, queued=9), now_ms=18_001)
    assert get_chosen(router.choose(QUERY, now_ms=18_001, draw=0)).peer == "b"
    router.on_report("a", make_report(3, running=8, queued=9, draining=True), now_ms=18_002)
    found = router.choose(QUERY, now_ms=18_002, draw=0).candidates
    assert {each.peer: each.obstacle for each in found}["a"] is Obstacle.DRAINING


def test_router_asks_others_before_it_buries_a_silent_peer():
    router = make_router("a", "b")
    assert router.list_silent(now_ms=1_000) == ()
    router.on_heartbeat("b", now_ms=5_000)
    assert router.list_silent(now_ms=5_000) == ("a",)
    router.on_probe("a", reached=True, now_ms=5_000)
    assert router.list_silent(now_ms=5_000) == ()
    for _ in range(3):
        router.on_probe("a", reached=False, now_ms=20_000)
    obstacles = [each.obstacle for each in router.choose(QUERY, now_ms=20_000, draw=0).candidates]
    assert obstacles == [Obstacle.DEAD, None]
    assert router.list_silent(now_ms=20_000) == ("b",)


def test_relayed_report_introduces_nobody():
    router = Router()
    assert not router.on_report("a", make_report(), now_ms=0, relayed=True)
    router.on_peer(Peer(id="a"))
    assert router.on_report("a", make_report(), now_ms=0, relayed=True)


def test_relayed_report_revives_the_dead_only_with_a_later_incarnation():
    router = make_router("a")
    for _ in range(3):
        router.on_probe("a", reached=False, now_ms=9_000)
    assert not router.on_report("a", make_report(2), now_ms=9_000, relayed=True)
    assert router.on_report("a", make_report(1, incarnation=1), now_ms=9_000, relayed=True)
    for _ in range(3):
        router.on_probe("a", reached=False, now_ms=20_000)
    assert router.on_report("a", make_report(2, incarnation=1), now_ms=20_000)


def test_relayed_report_does_not_bring_back_a_ghost():
    router = make_router("a", incarnation=3)
    router.forget("a")
    assert not is_known(router, "a")
    router.on_peer(Peer(id="a"))
    assert not router.on_report("a", make_report(9, incarnation=3), now_ms=0, relayed=True)
    assert router.on_report("a", make_report(9, incarnation=4), now_ms=0, relayed=True)
    router.on_peer(Peer(id="silent"))
    router.on_heartbeat("silent", now_ms=0)
    for _ in range(3):
        router.on_probe("silent", reached=False, now_ms=9_000)
    assert router.on_report("silent", make_report(), now_ms=9_000, relayed=True)


def test_router_remembers_a_bounded_number_of_ghosts():
    router = make_router("first")
    router.forget("first")
    for number in range(BURIED_MAX):
        router.on_report(f"peer {number}", make_report(), now_ms=0)
        router.forget(f"peer {number}")
    router.on_peer(Peer(id="first"))
    assert router.on_report("first", make_report(), now_ms=0, relayed=True)


def test_router_forgets_attempts_with_their_peer():
    router = make_router("a")
    ticket = send(router, "a")
    router.forget("a")
    router.on_first_token(ticket, now_ms=10)
    router.on_tokens(ticket, now_ms=20)
    router.on_finished(ticket, now_ms=30)
    router.on_cancelled(ticket, now_ms=30)
    router.on_report("a", make_report(), now_ms=40)
    assert get_chosen(router.choose(QUERY, now_ms=40, draw=0)).requests == 0


# --- second chances -------------------------------------------------------------------------------


def test_retry_goes_to_another_replica_at_once():
    router = make_router("a", "b")
    fail(router, "a")
    retry = router.plan_retry(QUERY, "a", Fault.UNREACHABLE, now_ms=0, draw=0)
    assert (get_chosen(retry.decision).peer, retry.delay_ms, retry.resumes) == ("b", 0, False)


def test_retry_ends_with_a_reason():
    router = make_router("a")
    fail(router, "a")
    hopeless = router.plan_retry(QUERY, "a", Fault.BAD_REQUEST, now_ms=0, draw=0)
    assert hopeless.decision.reason is Reason.NOT_WORTH
    assert hopeless.detail == "another replica would not help: bad_request"
    nobody = router.plan_retry(QUERY, "a", Fault.UNREACHABLE, now_ms=0, draw=0)
    assert nobody.decision.reason is Reason.NONE_ELIGIBLE
    assert nobody.detail == "no other replica can take the query"


def test_retries_stay_within_their_budget():
    router = make_router("a", "b")
    plans = [router.plan_retry(QUERY, "a", Fault.UNREACHABLE, now_ms=0, draw=0) for _ in range(5)]
    assert [plan.decision.chosen is not None for plan in plans] == [True] * 3 + [False] * 2
    assert plans[-1].decision.reason is Reason.BUDGET
    for _ in range(20):
        router.on_finished(send(router, "a"), now_ms=0, output_tokens=1)
    assert router.plan_retry(QUERY, "a", Fault.TIMEOUT, now_ms=0, draw=0).decision.chosen


def test_retries_earn_no_budget_for_more():
    router = make_router("a", "b")
    for _ in range(100):
        router.on_cancelled(send(router, "a", replace(QUERY, tried=("b",))), now_ms=0)
    plans = [router.plan_retry(QUERY, "a", Fault.TIMEOUT, now_ms=0, draw=0) for _ in range(9)]
    assert sum(plan.decision.chosen is not None for plan in plans) == 3


def test_retry_in_the_same_quota_domain_waits():
    router = Router(Settings(exploration_permille=0))
    for peer in "ab":
        router.on_peer(Peer(id=peer, trusted=True))
        router.on_report(peer, make_report(quota_domain="x"), now_ms=0)
    fail(router, "a")
    retry = router.plan_retry(QUERY, "a", Fault.UNREACHABLE, now_ms=0, draw=5)
    assert get_chosen(retry.decision).peer == "b"
    assert 500 <= retry.delay_ms <= 8_000
    router.forget("a")
    assert router.plan_retry(QUERY, "a", Fault.UNREACHABLE, now_ms=0, draw=5).delay_ms == 0


def test_resume_needs_the_same_model_and_revision():
    router = make_router("a", "b", "c", "d")
    router.on_report("b", make_report(2, models=(ModelOffer(id="m", revision="r2"),)), now_ms=0)
    router.on_report("c", make_report(2, models=(ModelOffer(id="x", revision="r1"),)), now_ms=0)
    query = replace(QUERY, model="auto", may_resume=True)
    chosen = get_chosen(router.choose(replace(query, peer="a"), now_ms=0, draw=0))
    plan = router.plan_resume(query, chosen, Fault.TRUNCATED, now_ms=0, draw=0)
    assert (get_chosen(plan.decision).peer, plan.resumes) == ("d", True)
    router.forget("d")
    plan = router.plan_resume(query, chosen, Fault.TRUNCATED, now_ms=0, draw=0)
    assert (plan.decision.chosen, plan.resumes) == (None, False)
    assert plan.detail == "no other replica can take the query"


def test_resume_is_refused_by_default_and_without_a_revision():
    router = make_router("a", "b", models=(ModelOffer(id="m"),))
    chosen = get_chosen(router.choose(QUERY, now_ms=0, draw=0))
    plan = router.plan_resume(QUERY, chosen, Fault.TRUNCATED, now_ms=0, draw=0)
    assert plan.decision.reason is Reason.NOT_WORTH
    assert plan.detail == "answers are not continued unless the query asks for it"
    willing = replace(QUERY, may_resume=True)
    plan = router.plan_resume(willing, chosen, Fault.TRUNCATED, now_ms=0, draw=0)
    assert plan.detail == "the revision of the model is unknown: another replica may differ"


def test_stall_time_out_follows_the_gaps_of_a_replica():
    router = make_router("a")
    ticket = send(router, "a")
    router.on_first_token(ticket, now_ms=0)
    for turn in range(1, 10):
        router.on_tokens(ticket, now_ms=turn * 4_000, tokens=1)
    assert 40_000 < router.stall_timeout_ms("a", "m") <= 50_000
    assert router.stall_timeout_ms("a", "x") == 15_000


def make_hedging_router(*, requests: int = 20) -> Router:
    router = make_router("a", "b", slots=100)
    for _ in range(max(requests, SAMPLES_MIN)):
        ticket = send(router, "a")
        router.on_first_token(ticket, now_ms=300)
        router.on_finished(ticket, now_ms=300, output_tokens=1)
    return router


def test_hedge_goes_to_another_replica_when_an_answer_is_late():
    router = make_hedging_router()
    ticket = send(router, "a")
    assert router.hedge_delay_ms(ticket) == 1_000
    hedge = router.plan_hedge(ticket, now_ms=1_000, draw=0)
    assert get_chosen(hedge).peer == "b"
    assert router.plan_hedge(ticket, now_ms=1_000, draw=0).reason is Reason.BUDGET


def test_hedge_is_not_for_every_query():
    router = make_hedging_router(requests=40)
    ticket = send(router, "a", replace(QUERY, hedgeable=False))
    assert router.hedge_delay_ms(ticket) is None
    assert router.plan_hedge(ticket, now_ms=0, draw=0).reason is Reason.NOT_WORTH
    assert router.hedge_delay_ms(999) is None
    assert router.plan_hedge(999, now_ms=0, draw=0).reason is Reason.NOT_WORTH
    answered = send(router, "a")
    router.on_first_token(answered, now_ms=10)
    assert router.plan_hedge(answered, now_ms=10, draw=0).reason is Reason.NOT_WORTH


def test_hedge_needs_somebody_and_room():
    router = make_hedging_router()
    ticket = send(router, "a")
    router.on_report("b", make_report(2, slots=100, running=80), now_ms=0)
    busy = router.plan_hedge(ticket, now_ms=1_000, draw=0)
    assert (busy.chosen, busy.reason) == (None, Reason.NOT_WORTH)
    router.forget("b")
    alone = router.plan_hedge(ticket, now_ms=1_000, draw=0)
    assert (alone.chosen, alone.reason) == (None, Reason.NONE_ELIGIBLE)


def test_offers_of_tests_fit_their_queries():
    assert OFFER.id == QUERY.model


def test_query_that_waited_spends_of_the_retries_and_earns_none():
    router = make_router("a")
    again = replace(QUERY, again=True)
    for _ in range(100):
        router.on_cancelled(send(router, "a", again), now_ms=0)
    assert [router.take_retry(now_ms=0) for _ in range(4)] == [True, True, True, False]


def test_router_knows_limits_from_load():
    router = make_router("a", "b")
    fail(router, "a", Fault.RATE_LIMITED)
    fail(router, "b", Fault.OVERLOADED)
    assert [router.is_limited(peer) for peer in ("a", "b", "nobody")] == [True, False, False]
