"""Of the replicas that can take a query the cheapest gets it; doubt, breakers and chance apply."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from meshnode.routing.breaker import OPEN_MS
from meshnode.routing.decision import Decision, Obstacle, Reason
from meshnode.routing.faults import Fault
from meshnode.routing.query import Privacy, Query
from meshnode.routing.report import ModelOffer, Peer
from meshnode.routing.router import Router
from meshnode.routing.settings import Settings
from tests.support.routing import OFFER, QUERY, get_chosen, make_report, make_router


def choose(router: Router, query: Query = QUERY, *, now_ms: int = 0, draw: int = 7) -> Decision:
    return router.choose(query, now_ms=now_ms, draw=draw)


def chosen(router: Router, query: Query = QUERY, **options) -> str | None:
    decision = choose(router, query, **options)
    return None if decision.chosen is None else decision.chosen.peer


def break_replica(router: Router, peer: str, *, now_ms: int = 0, times: int = 5) -> None:
    for _ in range(times):
        only = replace(QUERY, peer=peer)
        ticket = router.on_sent(
            only, get_chosen(choose(router, only, now_ms=now_ms)), now_ms=now_ms
        )
        router.on_failure(ticket, Fault.INTERNAL, now_ms=now_ms, draw=0)


def find_obstacles(decision: Decision) -> dict[str, Obstacle | None]:
    return {each.peer: each.obstacle for each in decision.candidates}


def test_choice_is_the_cheapest():
    router = make_router("a", "b", "c")
    router.on_rtt("a", 50_000, now_ms=0)
    router.on_rtt("b", 20_000, now_ms=0)
    router.on_rtt("c", 80_000, now_ms=0)
    decision = choose(router)
    assert (get_chosen(decision).peer, decision.reason) == ("b", Reason.LEAST_COST)


def test_choice_says_when_there_is_only_one():
    assert choose(make_router("a")).reason is Reason.ONLY_CANDIDATE
    assert choose(make_router("a"), now_ms=15_000).reason is Reason.LAST_RESORT


def test_choice_prefers_who_holds_the_prompt():
    router = make_router("a", "b")
    router.on_prefixes("b", (1, 2), now_ms=0)
    query = replace(QUERY, prompt_tokens=1_024, prefix=(1, 2))
    decision = choose(router, query)
    assert get_chosen(decision).peer == "b"
    assert (get_chosen(decision).cached_tokens, get_chosen(decision).miss_tokens) == (1_024, 64)
    for private in (Privacy.TRUSTED, Privacy.LOCAL):
        router.on_peer(Peer(id="b", local=True))
        decision = choose(router, replace(query, privacy=private))
        assert get_chosen(decision).cached_tokens == 0


def test_choice_prefers_a_free_slot():
    router = make_router("a", "b")
    router.on_report("a", make_report(2, running=8), now_ms=0)
    router.on_rtt("b", 9_000_000, now_ms=0)
    assert chosen(router) == "b"
    router.on_report("b", make_report(2, running=8), now_ms=0)
    assert chosen(router) == "a"


def test_choice_breaks_ties_by_chance():
    router = make_router("a", "b", "c")
    picks = [chosen(router, draw=draw) for draw in range(300)]
    assert all(70 < picks.count(peer) < 130 for peer in "abc")


def test_choice_uses_who_is_suspect_only_as_a_last_resort():
    router = make_router("a", "b")
    router.on_report("a", make_report(2, running=7), now_ms=10_001)
    assert chosen(router, now_ms=10_001) == "a"
    decision = choose(router, replace(QUERY, tried=("a",)), now_ms=10_001)
    assert (get_chosen(decision).peer, decision.reason) == ("b", Reason.LAST_RESORT)
    router.on_report("c", make_report(1), now_ms=0)
    decision = choose(router, replace(QUERY, tried=("a",)), now_ms=10_001)
    assert decision.reason is Reason.LAST_RESORT


def test_choice_does_not_suspect_the_own_engine():
    router = make_router("a")
    router.on_peer(Peer(id="a", local=True))
    assert choose(router, now_ms=10**6).reason is Reason.ONLY_CANDIDATE


def test_choice_leaves_out_the_dead():
    router = make_router("a")
    for _ in range(3):
        router.on_probe("a", reached=False, now_ms=9_000)
    assert find_obstacles(choose(router, now_ms=9_000)) == {"a": Obstacle.DEAD}


def test_choice_leaves_out_what_cannot_answer_in_time():
    router = make_router("a", "b", prefill_ns=1_000_000)
    for peer in "ab":
        only = replace(QUERY, peer=peer, prompt_tokens=40_000)
        router.on_sent(only, get_chosen(choose(router, only)), now_ms=0)
    late = replace(QUERY, prompt_tokens=40_000)
    assert find_obstacles(choose(router, late)) == {
        "a": Obstacle.DEADLINE,
        "b": Obstacle.DEADLINE,
    }
    assert chosen(router, replace(late, first_token_ms=90_000)) is not None
    assert chosen(router, replace(late, first_token_ms=90_000, remaining_ms=70_000)) is None


def test_choice_does_not_turn_a_query_away_for_what_it_believed_long_ago():
    router = make_router("a", prefill_ns=1_000_000)
    late = replace(QUERY, prompt_tokens=90_000)
    assert chosen(router, late) == "a"
    router.on_sent(late, get_chosen(choose(router, late)), now_ms=0)
    assert chosen(router, late) is None
    router.on_report("a", make_report(2, prefill_ns=1), now_ms=60_000)
    assert chosen(router, late, now_ms=60_000) == "a"


def test_breakers_hold_back_half_of_a_pool_at_most():
    router = make_router("a", "b", "c", "d")
    for peer in "abc":
        break_replica(router, peer, now_ms="abc".index(peer))
    obstacles = find_obstacles(choose(router, now_ms=3))
    assert obstacles == {"a": None, "b": Obstacle.BREAKER, "c": Obstacle.BREAKER, "d": None}


def test_breaker_of_the_only_candidate_holds_and_says_how_long():
    router = make_router("a", "b")
    router.on_report("b", make_report(2, models=(ModelOffer(id="x"),)), now_ms=0)
    break_replica(router, "a")
    decision = choose(router, now_ms=1_000)
    assert find_obstacles(decision) == {"a": Obstacle.BREAKER, "b": Obstacle.MODEL}
    assert (decision.reason, decision.retry_after_ms) == (Reason.NONE_ELIGIBLE, OPEN_MS - 1_000)
    router.on_report("a", make_report(2), now_ms=OPEN_MS)
    decision = choose(router, now_ms=OPEN_MS)
    assert decision.chosen is not None
    router.on_sent(QUERY, decision.chosen, now_ms=OPEN_MS)
    assert choose(router, now_ms=OPEN_MS + 5).retry_after_ms == 1


def test_breaker_is_for_one_model():
    router = make_router("a", models=(OFFER, ModelOffer(id="x")))
    break_replica(router, "a")
    assert chosen(router) is None
    assert chosen(router, replace(QUERY, model="x")) == "a"


def test_cooldown_holds_for_the_only_candidate_and_says_how_long():
    router = make_router("a")
    ticket = router.on_sent(QUERY, get_chosen(choose(router)), now_ms=0)
    router.on_failure(ticket, Fault.RATE_LIMITED, now_ms=0, draw=0, retry_after_ms=7_000)
    decision = choose(router, now_ms=1_000)
    assert find_obstacles(decision) == {"a": Obstacle.COOLDOWN}
    assert decision.retry_after_ms == 6_000
    assert chosen(router, now_ms=7_000) == "a"


def test_replica_that_refused_for_good_is_left_out():
    router = make_router("a")
    ticket = router.on_sent(QUERY, get_chosen(choose(router)), now_ms=0)
    router.on_failure(ticket, Fault.MODEL_NOT_FOUND, now_ms=0, draw=0)
    decision = choose(router)
    assert find_obstacles(decision) == {"a": Obstacle.DISABLED}
    assert decision.retry_after_ms == 0


def test_one_query_in_a_hundred_explores_who_was_not_used_lately():
    router = make_router("a", "b", "c", settings=Settings())
    router.on_rtt("b", 900_000, now_ms=0)
    router.on_rtt("c", 900_000, now_ms=0)
    decisions = [choose(router, draw=draw) for draw in range(20_000)]
    explored = [get_chosen(each).peer for each in decisions if each.reason is Reason.EXPLORATION]
    assert 120 < len(explored) < 300
    assert sorted(dict.fromkeys(explored)) == ["a", "b", "c"]
    for peer in "abc":
        only = replace(QUERY, peer=peer)
        router.on_sent(only, get_chosen(choose(router, only)), now_ms=0)
    reasons = [choose(router, draw=draw).reason for draw in range(2_000)]
    assert Reason.EXPLORATION not in reasons


def test_choice_among_very_many_looks_at_a_sample_the_holders_and_the_own_engine():
    peers = [f"peer-{number:03}" for number in range(200)]
    router = make_router(*peers)
    router.on_peer(Peer(id="peer-123", local=True))
    for peer in peers[40:80]:
        router.on_prefixes(peer, (1,), now_ms=0)
    for peer in peers[60:70]:
        router.on_prefixes(peer, (1, 2), now_ms=0)
    query = replace(QUERY, prompt_tokens=2_000, prefix=(1, 2, 3))
    looked_at = [choose(router, query, draw=draw).candidates for draw in range(200)]
    for candidates in looked_at:
        names = [each.peer for each in candidates]
        assert names == sorted(names)
        assert 17 + 10 <= len(names) <= 33
        assert "peer-123" in names
        assert all(peer in names for peer in peers[60:70])
    sampled = {each.peer: None for candidates in looked_at for each in candidates}
    assert len(sampled) == 200


names = st.sampled_from([f"p{number}" for number in range(6)])
reports = st.builds(
    make_report,
    st.integers(1, 5),
    incarnation=st.integers(0, 2),
    slots=st.integers(0, 4),
    running=st.integers(0, 5),
    queued=st.integers(0, 5),
    queued_prefill_tokens=st.integers(0, 10**6),
    draining=st.booleans(),
    shareable=st.booleans(),
    models=st.sampled_from([(), (OFFER,), (ModelOffer(id="x"), OFFER), (ModelOffer(id="m"),)]),
)
queries = st.builds(
    Query,
    model=st.sampled_from(["auto", "m", "x"]),
    revision=st.sampled_from(["", "r1"]),
    prompt_tokens=st.integers(0, 200_000),
    tools=st.booleans(),
    privacy=st.sampled_from(Privacy),
    tried=st.lists(names, max_size=2).map(tuple),
    remaining_ms=st.integers(1, 200_000),
    prefix=st.lists(st.integers(0, 3), max_size=3).map(tuple),
)
events = st.lists(
    st.tuples(
        st.sampled_from(["report", "fail", "busy", "finish", "trust", "own", "forget"]),
        names,
        reports,
        st.integers(0, 4_000),
    ),
    max_size=40,
)


def play(history) -> tuple[Router, int]:
    router = Router()
    now_ms = 0
    for kind, peer, report, passed_ms in history:
        now_ms += passed_ms
        only = router.choose(Query(peer=peer), now_ms=now_ms, draw=passed_ms).chosen
        if kind == "report":
            router.on_report(peer, report, now_ms=now_ms)
        elif kind == "trust":
            router.on_peer(Peer(id=peer, trusted=True))
        elif kind == "own":
            router.on_peer(Peer(id=peer, local=True))
        elif kind == "forget":
            router.forget(peer)
        elif only is not None:
            ticket = router.on_sent(QUERY, only, now_ms=now_ms)
            if kind == "finish":
                router.on_first_token(ticket, now_ms=now_ms + 50)
                router.on_finished(ticket, now_ms=now_ms + 90, output_tokens=5)
            else:
                fault = Fault.INTERNAL if kind == "fail" else Fault.OVERLOADED
                router.on_failure(ticket, fault, now_ms=now_ms, draw=3, retry_after_ms=1_500)
    return router, now_ms


@given(events, queries, st.integers(0, (1 << 64) - 1))
def test_choice_is_never_ineligible_and_never_dearer_than_need_be(history, query, draw):
    router, now_ms = play(history)
    decision = router.choose(query, now_ms=now_ms, draw=draw)
    able = [each for each in decision.candidates if each.obstacle is None]
    assert (decision.chosen is None) == (not able)
    if decision.chosen is None:
        return
    assert decision.chosen in able
    assert decision.chosen.peer not in query.tried
    if decision.reason is Reason.LEAST_COST:
        sound = [each for each in able if not each.is_suspect]
        pool = [each for each in sound if each.is_cold] or sound
        assert decision.chosen in pool
        assert decision.chosen.cost_us == min(each.cost_us for each in pool)


@given(events, queries, st.integers(0, (1 << 64) - 1))
def test_same_history_gives_the_same_decision(history, query, draw):
    first, now_ms = play(history)
    second, _ = play(history)
    decisions = [router.choose(query, now_ms=now_ms, draw=draw) for router in (first, second)]
    assert repr(decisions[0]) == repr(decisions[1])
    assert decisions[0] == first.choose(query, now_ms=now_ms, draw=draw)
