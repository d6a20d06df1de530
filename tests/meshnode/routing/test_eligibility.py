"""Every obstacle has a code and a text; without one a replica may take the query."""

from __future__ import annotations

from dataclasses import replace

import pytest

from meshnode.routing.decision import Obstacle
from meshnode.routing.eligibility import find_obstacle, find_offer
from meshnode.routing.query import Privacy, Query
from meshnode.routing.replica_state import ReplicaState
from meshnode.routing.report import ModelOffer, Peer
from meshnode.routing.settings import Settings
from tests.support.routing import OFFER, QUERY, make_report, make_state

OWN = Peer(id="p", author=b"me", local=True)
TRUSTED = Peer(id="p", author=b"they", trusted=True)
STRANGER = Peer(id="p", author=b"they")


def check(query: Query = QUERY, *, peer: Peer = STRANGER, now_ms: int = 0, **report):
    state = make_state(peer=peer, **report)
    found = find_obstacle(state, query, Settings(), now_ms)
    return None if found is None else found[0]


def check_offer(query: Query, *offers: ModelOffer):
    return find_offer(make_report(models=offers), query)


def test_replica_may_take_a_query_that_it_fits():
    assert check() is None
    assert check(replace(QUERY, peer="p")) is None


def test_replica_is_left_out_when_another_one_is_meant_or_it_was_tried():
    assert check(replace(QUERY, peer="q")) is Obstacle.OTHER_PEER
    assert check(replace(QUERY, tried=("p",))) is Obstacle.TRIED


@pytest.mark.parametrize(
    ("privacy", "peers"),
    [
        (Privacy.MESH, (OWN, TRUSTED, STRANGER)),
        (Privacy.TRUSTED, (OWN, TRUSTED)),
        (Privacy.LOCAL, (OWN,)),
    ],
)
def test_privacy_names_who_may_see_a_prompt(privacy, peers):
    for peer in (OWN, TRUSTED, STRANGER):
        expected = None if peer in peers else Obstacle.PRIVACY
        assert check(replace(QUERY, privacy=privacy), peer=peer) is expected


def test_account_serves_its_owner_and_nobody_else_in_either_direction():
    of_mine, of_theirs = QUERY, replace(QUERY, requester=b"they")
    assert check(of_mine, peer=OWN, shareable=False) is None
    assert check(of_theirs, peer=OWN, shareable=False) is Obstacle.OWNER_ONLY
    assert check(of_mine, peer=TRUSTED, shareable=False) is Obstacle.OWNER_ONLY
    assert check(replace(QUERY, requester=b"me"), peer=OWN, shareable=False) is None
    for query in (of_mine, of_theirs):
        for peer in (OWN, TRUSTED, STRANGER):
            assert check(query, peer=peer) is None


def test_replica_that_says_nothing_vanishes_but_the_own_engine_does_not():
    silent = find_obstacle(ReplicaState(STRANGER, Settings()), QUERY, Settings(), 0)
    assert silent == (Obstacle.EXPIRED, "has not said what it serves")
    assert check(now_ms=30_000) is None
    assert check(now_ms=30_001) is Obstacle.EXPIRED
    assert check(now_ms=30_001, peer=OWN) is None


def test_replica_that_drains_takes_nothing():
    assert check(draining=True) is Obstacle.DRAINING


@pytest.mark.parametrize(
    ("change", "obstacle", "text"),
    [
        ({"model": "x"}, Obstacle.MODEL, "serves m"),
        ({"revision": "r2"}, Obstacle.REVISION, "serves revision r1 of m"),
        (
            {"prompt_tokens": 99_000, "reserved_tokens": 1_001},
            Obstacle.CONTEXT,
            "m holds 100000 tokens where 100001 are needed",
        ),
    ],
)
def test_model_is_refused_for_what_it_cannot_do(change, obstacle, text):
    assert check_offer(replace(QUERY, **change), OFFER) == (None, (obstacle, text))


def test_model_is_refused_when_it_lacks_tools_or_thinking():
    plain = ModelOffer(id="m")
    assert check_offer(replace(QUERY, tools=True), plain)[1][0] is Obstacle.TOOLS
    assert check_offer(replace(QUERY, thinking=True), plain)[1][0] is Obstacle.THINKING
    assert check_offer(replace(QUERY, revision="r"), plain)[1] == (
        Obstacle.REVISION,
        "serves revision unknown of m",
    )
    assert check_offer(QUERY)[1] == (Obstacle.MODEL, "serves nothing")
    demanding = replace(QUERY, tools=True, thinking=True, revision="r1", prompt_tokens=100_000)
    assert check_offer(demanding, OFFER) == (OFFER, None)


def test_auto_takes_the_first_model_that_fits():
    small = ModelOffer(id="small", context_tokens=10)
    auto = Query(prompt_tokens=1_000)
    assert check_offer(auto, small, OFFER) == (OFFER, None)
    assert check_offer(replace(auto, prompt_tokens=200_000), small, OFFER)[1][1].startswith("small")
