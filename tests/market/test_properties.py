"""Properties that no other test of a module holds, against dictionaries; and the table of them all."""

from __future__ import annotations

import re
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.accounts import Ledger
from market.book import Book
from market.contracts import Contracts
from market.deadlines import Deadlines
from market.events import Trail
from market.instruments import Instrument
from market.judging import Judge
from market.orders import (
    Cancel,
    Cancelled,
    Code,
    Event,
    Filled,
    Message,
    NewOrder,
    Reason,
    Reduce,
    Rejected,
    Replace,
    Rested,
    RestingOrder,
    Side,
    TimeInForce,
)
from market.reputation import Reputation
from market.sla import PROBERS
from market.tiers import Dimension, TierScheme
from market.windows import Report, Served, Window, Windows
from tests.support.market_scene import MarketScene, get_account
from tests.support.source_tree import ROOT

TIERS = TierScheme((Dimension("size", (1, 2)), Dimension("speed", (1, 2))))
TOUCHED_MAX = 4
INSTRUMENT = Instrument(model_variant="m", tiers=TIERS, fills_max=TOUCHED_MAX)
BUYER, PROVIDER = 4, 5
TABLE = ROOT / "docs" / "market-notation.md"

lots = st.integers(1, 9)
prices = st.integers(97, 103)
owners = st.integers(1, 4)
sides = st.sampled_from(Side)
codes = st.sampled_from(TIERS.codes())


@st.composite
def orders(draw: st.DrawFn, lifetimes: tuple[TimeInForce, ...] = (TimeInForce.GTC,)) -> NewOrder:
    id_, lifetime = draw(st.integers(1, 1 << 40)), draw(st.sampled_from(lifetimes))
    return NewOrder(id_, draw(owners), draw(sides), draw(prices), draw(lots), draw(codes), lifetime)


def make_book(placed: list[NewOrder]) -> Book:
    book = Book(INSTRUMENT)
    for order in placed:
        book.submit(order)
    return book


def sum_fills(events: list[Event]) -> int:
    return sum(event.lots for event in events if isinstance(event, Filled))


# --- P7, P8, P10, P17: orders ---------------------------------------------------------------------


@given(st.lists(orders(), max_size=25), orders((TimeInForce.FOK,)))
def test_fok_is_filled_whole_or_leaves_no_trace(placed: list[NewOrder], order: NewOrder):
    book = make_book(placed)
    before = book.snapshot()
    events = book.submit(order)
    if isinstance(events[0], Rejected):
        assert book.snapshot() == before
    else:
        assert sum_fills(events) == order.lots
    assert book.get(order.id) is None or order.id in {each.id for each in placed}


@given(
    st.dictionaries(st.integers(1, 8), st.integers(2, 9), min_size=2, max_size=8),
    st.lists(st.tuples(st.booleans(), st.integers(1, 8), st.integers(1, 12)), max_size=12),
)
def test_queue_is_that_of_a_dictionary_whatever_shrinks_grows_or_comes_anew(
    start: dict[int, int], changes: list[tuple[bool, int, int]]
):
    instrument = Instrument(model_variant="m", tiers=TIERS)
    book, queue = Book(instrument), dict(start)
    for id_, quantity in start.items():
        book.submit(NewOrder(id_, id_, Side.OFFER, 100, quantity))
    for reduces, id_, quantity in changes:
        if id_ not in queue:
            continue
        if reduces or quantity < queue[id_]:
            message: Message = Reduce(id_, id_, quantity)
            book.apply(message if reduces else Replace(id_, id_, 100, quantity))
            queue[id_] = min(queue[id_], quantity)
        else:
            book.apply(Replace(id_, id_, 100, quantity))
            del queue[id_]
            queue[id_] = quantity
    events = book.submit(NewOrder(99, 99, Side.BID, 100, sum(queue.values())))
    assert [(e.maker, e.lots) for e in events if isinstance(e, Filled)] == list(queue.items())
    assert len(book) == 0


@given(st.lists(orders(), max_size=25), st.data())
def test_message_for_a_stale_or_foreign_order_is_rejected_and_does_nothing(
    placed: list[NewOrder], data: st.DataObject
):
    book = make_book(placed)
    before = book.snapshot()
    for order in placed:
        resting = book.get(order.id)
        sender = order.owner if resting is None else data.draw(owners.filter(resting.owner.__ne__))
        for message in (
            Cancel(order.id, sender),
            Reduce(order.id, sender, 1),
            Replace(order.id, sender, 100, 5),
        ):
            code = Code.UNKNOWN_ORDER if resting is None else Code.FOREIGN_ORDER
            assert book.apply(message) == [Rejected(order.id, sender, code)]
    assert book.snapshot() == before


@given(st.lists(orders((TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK)), max_size=60))
def test_message_touches_no_more_orders_than_the_bound(placed: list[NewOrder]):
    book = Book(INSTRUMENT)
    for order in placed:
        events = book.submit(order)
        touched = [
            event
            for event in events
            if isinstance(event, Filled)
            or (isinstance(event, Cancelled) and event.reason is Reason.SELF_TRADE)
        ]
        assert len(touched) <= TOUCHED_MAX
        if any(isinstance(event, Rested) for event in events):
            assert not any(_meets(book, order, event) for event in book.list_resting(_other(order)))


def _other(order: NewOrder) -> Side:
    return Side.OFFER if order.side is Side.BID else Side.BID


def _meets(book: Book, order: NewOrder, resting: RestingOrder) -> bool:
    mine = book.get(order.id)
    assert mine is not None
    bid, offer = (mine, resting) if order.side is Side.BID else (resting, mine)
    return TIERS.serves(offer.tiers, bid.tiers) and offer.price_uruv <= bid.price_uruv


# --- P9: indexes ----------------------------------------------------------------------------------


@settings(max_examples=60)
@given(st.lists(st.tuples(orders(), st.integers(0, 5), st.integers(0, 12)), max_size=50))
def test_every_index_of_a_book_is_what_a_count_of_its_orders_gives(steps: list):
    book, known = Book(INSTRUMENT), list[tuple[int, int]]()
    for order, kind, back in steps:
        if kind < 3 or not known:
            book.submit(order)
            known.append((order.id, order.owner))
        else:
            id_, owner = known[-1 - back % len(known)]
            message: Message = Cancel(id_, owner)
            book.apply(message if kind == 3 else Replace(id_, owner, order.price_uruv or 1, 3))
        check_indexes(book)


def check_indexes(book: Book) -> None:
    matcher, alive = book._matcher, book.snapshot().orders
    assert {each.id for each in alive} == set(matcher.orders)
    owned: dict[object, set[object]] = {}
    for each in alive:
        owned.setdefault(each.owner, set()).add(each.id)
    assert {owner: set(ids) for owner, ids in matcher.owned.items()} == owned
    for side, sign in ((matcher.bids, 1), (matcher.offers, -1)):
        own = [each for each in alive if (each.side is Side.BID) == (sign > 0)]
        ranked = sorted(own, key=lambda each: (-sign * each.price_uruv, each.seq))
        assert side.list_orders() == ranked
        best: dict[int, tuple[int, int]] = {}
        for each in ranked:
            best.setdefault(each.tiers, (sign * each.price_uruv, -each.seq))
        assert [head[:2] for head in side.heads] == sorted(best.values())


# --- P15: receipts --------------------------------------------------------------------------------


@settings(max_examples=15)
@given(
    st.lists(st.integers(1, 9_000), min_size=1, max_size=4),
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from(["", "contract", "network"])), max_size=8
    ),
)
def test_highest_receipt_of_this_contract_wins_in_any_order(
    steps: list[int], arrivals: list[tuple[int, str]]
):
    scene = MarketScene()
    scene.list_model()
    scene.make_provider(PROVIDER)
    contract = scene.deliver(lots=40)
    billed = dict(enumerate(accumulate(steps), 1))
    held = 0
    for number, foreign in arrivals:
        seq = 1 + number % len(billed)
        changes = {foreign: bytes([9]) * 32} if foreign else {}
        receipt = scene.make_receipt(contract, seq, billed[seq], **changes)
        scene.say(BUYER, scene.post(receipt), advance_ms=1)
        if foreign:
            code = "unknown_contract" if foreign == "contract" else "wrong_network"
            assert scene.codes() == [code]
        elif seq <= held:
            assert scene.codes() == ["stale_receipt"]
        else:
            assert scene.codes() == []
            held = seq
        assert (0 if contract.receipt is None else contract.receipt.seq) == held
        assert contract.cost == billed.get(held, 0)


# --- P16: slashes ---------------------------------------------------------------------------------


served_rows = st.builds(
    Served,
    st.sampled_from([get_account(each) for each in range(3)]),
    st.integers(0, 3),
    st.integers(1, 10**6),
    st.integers(0, 2 * 10**6),
    st.integers(0, 10**6),
)


@given(st.lists(served_rows, min_size=1, max_size=6), st.integers(0, 20), st.integers(0, 10**7))
def test_slash_is_within_the_collateral_and_every_unit_of_it_is_counted_again(
    rows: list[Served], good: int, stake: int
):
    ledger, deadlines, trail = Ledger(), Deadlines(), Trail()
    provider = get_account(PROVIDER)
    ledger.mint(provider, stake + 1)
    if stake:
        ledger.stake(provider, stake)
    windows = Windows(deadlines, {})
    judge = Judge(ledger, Reputation(), windows, trail)
    contracts = Contracts(
        ledger, deadlines, trail, on_open=windows.add, on_end=lambda ended, _: windows.end(ended)
    )
    outcomes = (True,) * good + (False,) * (20 - good)
    reports = [Report(bytes([each]), outcomes) for each in range(PROBERS)]
    served = {bytes([number]): row for number, row in enumerate(rows)}
    judge.judge_window(Window(provider, 0, (), served, reports), contracts, 0)
    taken = stake - ledger.get(provider).staked
    guaranteed = [row for row in rows if row.sla_tier]
    assert 0 <= taken <= min(stake, sum(row.collateral for row in guaranteed))
    got = {row.buyer: ledger.get(row.buyer).free for row in rows}
    for buyer, amount in got.items():
        assert amount <= sum(row.paid for row in guaranteed if row.buyer == buyer)
    assert sum(got.values()) + ledger.totals.burned == taken
    assert (ledger.totals.held, ledger.count_all()) == (0, ledger.totals.minted)


# --- the table ------------------------------------------------------------------------------------


def list_claims() -> list[tuple[str, str, str]]:
    """Property, file and test of every row of the table."""
    rows = re.findall(r"^\| (P\d+) \|.*\| (.+) \|$", TABLE.read_text(), re.MULTILINE)
    return [
        (name, *claim) for name, cell in rows for claim in re.findall(r"`(\w+\.py)::(\w+)`", cell)
    ]


def test_table_names_a_test_for_every_property():
    assert list(dict.fromkeys(name for name, _, _ in list_claims())) == [
        f"P{number}" for number in range(1, 19)
    ]


@pytest.mark.parametrize(("name", "file", "test"), list_claims())
def test_test_that_the_table_names_is_there(name: str, file: str, test: str):
    source = (ROOT / "tests" / "market" / file).read_text()
    assert f"def {test}(" in source or f"class {test}(" in source, name
