"""The market as a state machine: total, the same everywhere, and no money is ever lost."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dag.canonical import encode
from dag.errors import MalformedMessage
from dag.order import Commit
from dag.types import LANE_BLOCKS, Kind
from dag.vertex import SignedVertex
from market.commands import (
    Accept,
    Batch,
    CancelOrder,
    ReduceOrder,
    ReplaceOrder,
    Stake,
    Transfer,
    Unstake,
    compute_command_id,
)
from market.errors import Refused
from market.events import extend_audit
from market.genesis import Grant, MarketGenesis
from market.orders import Side, TimeInForce
from market.state import MarketState
from market.stores import SNAPSHOT_DECODER
from market.tiers import STANDARD_TIERS
from tests.support.hostile_bytes import any_bytes
from tests.support.market_scene import (
    NETWORK,
    RUV,
    Keys,
    MarketScene,
    check_money,
    get_account,
    make_vertex,
)
from tests.support.market_streams import Life
from tests.support.source_tree import ROOT

BUYER, PROVIDER = 4, 5
seeds = st.integers(0, 2**32)
Commits = Sequence[tuple[Commit, Sequence[SignedVertex]]]


def make_market() -> MarketScene:
    scene = MarketScene()
    scene.list_model()
    scene.make_provider(PROVIDER)
    return scene


def make_state(money: int = RUV) -> MarketState:
    grants = tuple(Grant(get_account(each), money) for each in range(8))
    state = MarketState(MarketGenesis(NETWORK, "ed25519", grants), Keys())
    state.set_committee({get_account(each): 1 for each in range(4)})
    return state


def replay(commits: Commits, *, stop_at: int = -1, shuffle: int | None = None) -> MarketState:
    """Fold commits into a new state, which is put away and taken up again at one of them."""
    state = make_state()
    for number, (commit, vertices) in enumerate(commits):
        held = list(vertices)
        if shuffle is not None:
            random.Random(shuffle + number).shuffle(held)
        state.apply(commit, held)
        if number == stop_at:
            stored = state.snapshot()
            state = make_state()
            state.restore(stored)
            assert state.snapshot() == stored
    return state


# --- a whole life ---------------------------------------------------------------------------------


def test_contract_runs_from_trade_to_payment():
    scene = make_market()
    contract = scene.deliver()
    scene.say(BUYER, scene.post(scene.make_receipt(contract, 1, 4_000)))
    assert contract.cost == 4_000
    scene.say(PROVIDER, scene.post(scene.make_receipt(contract, 2, 10_000, final=True)))
    assert contract.phase == "claimable"
    scene.wait(600_000)
    (ended,) = scene.state.ended
    assert (ended.contract, ended.outcome, ended.paid) == (contract, "settled", 10_000)
    ledger = scene.state.ledger
    assert ledger.get(get_account(BUYER)).free == 1_000 * RUV - 10_000
    assert ledger.get(get_account(PROVIDER)).free == 500 * RUV + 10_000 - 50
    assert ledger.get(get_account(PROVIDER)).staked == 500 * RUV
    assert (ledger.totals.burned, ledger.totals.pool) == (25, 25)


# --- P1, P4, P5, P10, P13, P16: what holds after every commit -------------------------------------


def check_books(state: MarketState) -> None:
    """No compatible crossed pair rests, nothing rests beyond its time, and tables agree."""
    for book in state.desk.books.values():
        bids, offers = book.list_resting(Side.BID), book.list_resting(Side.OFFER)
        for bid in bids:
            for offer in offers:
                fits = STANDARD_TIERS.serves(offer.tiers, bid.tiers)
                crosses = offer.price_uruv <= bid.price_uruv
                assert not (fits and crosses) or bid.owner == offer.owner
        for order in (*bids, *offers):
            assert order.expires_ms > state.time_ms
            row = state.desk.orders.get(bytes(order.id))
            assert row is not None
            assert (row.lots, row.price) == (order.lots, order.price_uruv)
            assert row.margin == row.compute_need()
    count = sum(len(book) for book in state.desk.books.values())
    assert len(state.desk.orders) == count


@settings(max_examples=25)
@given(seeds)
def test_nothing_is_lost_and_nothing_compatible_rests_crossed(seed: int):
    life = Life(seed, commits=0)
    state, chance = life.scene.state, life.random
    for _ in range(30):
        life.scene.apply([life.make_vertex()], advance_ms=chance.choice((10, 1_000, 30_000)))
        check_books(state)
        check_money(state)


def test_lives_reach_every_end_of_a_contract():
    kinds = {event.kind for seed in range(8) for event in Life(seed).scene.events}
    assert kinds >= {
        "contract_settled",
        "contract_refunded",
        "contract_resolved",
        "contract_disputed",
        "contract_receipt",
        "unstaked",
        "order_closed",
        "refused",
    }


# --- P11, P12: the same everywhere ----------------------------------------------------------------


@settings(max_examples=20)
@given(seeds, st.integers(0, 30))
def test_root_is_the_same_after_replay_snapshot_and_permutation(seed: int, stop_at: int):
    scene = Life(seed, commits=30).scene
    root, snapshot = scene.state.root(), scene.state.snapshot()
    for state in (replay(scene.commits, stop_at=stop_at), replay(scene.commits, shuffle=seed)):
        assert state.root() == root
        assert state.snapshot() == snapshot


def test_root_of_every_commit_is_that_of_a_state_that_looks_only_once():
    scene = Life(5, commits=0).scene
    commits = Life(5).scene.commits
    state = make_state()
    for number, (commit, vertices) in enumerate(commits):
        state.apply(commit, vertices)
        incremental = state.root()
        if number % 9 == 0:
            assert replay(commits[: number + 1]).root() == incremental
    assert scene.state.root() != state.root()


def test_root_is_the_same_in_processes_that_hash_differently():
    code = "from tests.support.market_streams import print_root; print_root(3)"
    roots = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            timeout=60,
        ).stdout
        for seed in ("0", "1")
    }
    assert len(roots) == 1


def test_events_and_audit_are_a_function_of_the_commits():
    scene = Life(11).scene
    digests: dict[bytes, bytes] = {}
    counts: dict[bytes, int] = {}
    state = make_state()
    for commit, vertices in scene.commits:
        state.apply(commit, vertices)
        told = [event for event in state.events if event.kind != "refused"]
        for account in dict.fromkeys(event.account for event in told):
            own = [event for event in told if event.account == account]
            before = digests.get(account, bytes(32))
            digests[account] = extend_audit(before, state.time_ms, own)
            counts[account] = counts.get(account, 0) + len(own)
    assert {key: row.digest for key, row in state.trail.audits.items()} == digests
    assert {key: row.count for key, row in state.trail.audits.items()} == counts


# --- the neutral order inside a commit ------------------------------------------------------------


def test_cancel_beats_a_taker_of_the_same_commit():
    for seed in range(4):
        scene = make_market()
        order = scene.offer(PROVIDER, 1_000, 10)
        vertices = [
            scene.make_batch(BUYER, scene.make_order(Side.BID, 1_000, 10)),
            scene.make_batch(PROVIDER, CancelOrder(order)),
        ]
        random.Random(seed).shuffle(vertices)
        scene.apply(vertices)
        assert len(scene.state.contracts.rows) == 0


def test_orders_of_who_is_out_are_taken_back_and_its_money_is_free_again():
    market = make_market()
    market.bid(4, RUV, 5)
    assert market.state.ledger.get(get_account(4)).reserved > 0
    market.state.withdraw(iter([get_account(4), get_account(9)]))
    market.apply()
    assert market.state.ledger.get(get_account(4)).reserved == 0
    market.check()
    market.bid(4, RUV, 5)
    assert market.state.ledger.get(get_account(4)).reserved > 0


def test_replacement_of_an_order_of_the_same_commit_comes_after_it():
    scene = make_market()
    first = scene.make_batch(BUYER, scene.make_order(Side.BID, 1_000, 10))
    order = compute_command_id(first.id, 0)
    scene.apply([scene.make_batch(BUYER, ReplaceOrder(order, 2_000, 5)), first])
    assert scene.codes() == []
    (row,) = scene.state.desk.orders.rows()
    assert (row.price, row.lots) == (2_000, 5)


@pytest.mark.parametrize("make", [CancelOrder, lambda order: ReduceOrder(order, 0)])
def test_cancel_of_an_order_of_the_same_commit_comes_after_it(make):
    scene = make_market()
    first = scene.make_batch(BUYER, scene.make_order(Side.BID, 1_000, 10))
    second = scene.make_batch(BUYER, make(compute_command_id(first.id, 0)))
    scene.apply([second, first])
    assert scene.codes() == []
    assert scene.kinds() == ["order_placed", "order_closed"]


def test_stake_counts_for_an_offer_of_the_same_commit():
    scene = MarketScene()
    scene.list_model()
    order = scene.make_order(Side.OFFER, 1_000, 10)
    scene.say(PROVIDER, order, Stake(RUV), scene.make_attest())
    assert scene.codes() == []


# --- P18: whatever bytes come ---------------------------------------------------------------------

BODIES = [
    encode(Batch((Transfer(get_account(1), 5),))),
    encode(Batch((Accept(bytes(32)), CancelOrder(bytes(32))))),
]


@given(st.lists(any_bytes(BODIES), max_size=4))
def test_bytes_never_raise_and_change_nothing_when_they_are_refused(bodies: list[bytes]):
    scene, quiet = MarketScene(), MarketScene()
    vertices = [
        make_vertex(get_account(BUYER), seq, body) for seq, body in enumerate(dict.fromkeys(bodies))
    ]
    scene.apply(vertices)
    quiet.wait(100)
    if all(event.kind == "refused" for event in scene.state.events):
        assert scene.state.root() == quiet.state.root()
        assert scene.state.snapshot() == quiet.state.snapshot()
    assert len(scene.state.events) >= len(vertices)


def test_other_kinds_and_blocks_are_nothing_to_the_market():
    scene = MarketScene()
    signed = make_vertex(get_account(BUYER), 0, BODIES[0], Kind.NOTE)
    block = msgspec.structs.replace(
        make_vertex(get_account(BUYER), 0, BODIES[0]).vertex, lane=LANE_BLOCKS
    )
    scene.apply([signed, msgspec.structs.replace(signed, vertex=block)])
    assert scene.kinds() == []


def test_unreadable_body_is_recorded_under_its_vertex():
    scene = MarketScene()
    vertex = make_vertex(get_account(BUYER), 0, b"\xc1")
    scene.apply([vertex])
    (event,) = scene.state.events
    assert (event.subject, event.detail) == (vertex.id, "malformed")


def test_same_command_of_two_vertices_is_two_commands_and_of_one_is_one():
    scene = MarketScene()
    scene.say(BUYER, Transfer(get_account(1), 5))
    scene.say(BUYER, Transfer(get_account(1), 5))
    assert scene.state.ledger.get(get_account(1)).free == 1_000 * RUV + 10


# --- time -----------------------------------------------------------------------------------------


def test_time_never_goes_back():
    scene = MarketScene()
    scene.wait(100)
    before = scene.state.time_ms
    scene.wait(-50)
    assert scene.state.time_ms == before


def test_order_is_not_matched_from_the_first_commit_at_its_expiry():
    scene = make_market()
    expires_ms = scene.time_ms + 500
    scene.offer(PROVIDER, 1_000, 10, time_in_force=TimeInForce.GTD, expires_ms=expires_ms)
    assert scene.state.next_deadline() == expires_ms
    order = scene.make_order(Side.BID, 1_000, 10, time_in_force=TimeInForce.IOC)
    scene.say(BUYER, order, advance_ms=expires_ms - scene.time_ms)
    assert len(scene.state.contracts.rows) == 0


def test_deadlines_beyond_the_bound_of_a_commit_come_first_in_the_next(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("market.state.DRAINED_MAX", 2)
    scene = make_market()
    scene.bid(BUYER, 1_000, 5)
    for _ in range(5):
        scene.offer(PROVIDER, 1_000, 1)
    scene.wait(6_000)
    left = [5 - 2, 5 - 4, 0]
    for count in left:
        assert len(scene.state.contracts.rows) == count
        assert (scene.state.next_deadline() or 0) > 0
        scene.wait(1)


def test_quiet_market_has_no_deadline():
    assert make_state().next_deadline() is None


# --- snapshots ------------------------------------------------------------------------------------


def test_snapshot_is_refused_without_effect_when_it_is_none():
    scene = make_market()
    scene.bid(BUYER, 1_000, 5)
    before = scene.state.snapshot()
    stored = SNAPSHOT_DECODER.decode(before)
    for broken in (
        b"",
        b"\xc0",
        before[:-1],
        encode(msgspec.structs.replace(stored, version=stored.version + 1)),
        encode(msgspec.structs.replace(stored, models=())),
        encode(msgspec.structs.replace(stored, accounts=())),
    ):
        with pytest.raises(MalformedMessage):
            scene.state.restore(broken)
        assert scene.state.snapshot() == before


def test_genesis_that_cannot_be_is_refused():
    with pytest.raises(Refused):
        MarketState(MarketGenesis(b"", "ed25519"), Keys())


def test_money_that_comes_from_nowhere_is_counted_after_every_commit():
    state = make_state()
    state.ledger.totals.burned += 1
    state.apply(Commit(1, bytes(32), bytes(32), bytes(32), (), 1), ())
    assert state.count_imbalance() == 1


def test_looking_shows_all_parts():
    scene = make_market()
    state = scene.state
    assert len(state.compliance.models) == len(state.compliance.attestations) == 1
    assert len(state.motions.rows) == 1
    assert len(state.allowances.rows) == 4
    assert len(state.windows.rows) == 0
    assert len(state.deadlines) == 1
    assert state.get_reputation(get_account(PROVIDER)) == 0
    scene.say(PROVIDER, Unstake(7))
    assert [row.amount for row in state.unbondings.rows.rows()] == [7]
    assert state.get_standing(get_account(PROVIDER)).good == 0
    assert state.index == scene.index
