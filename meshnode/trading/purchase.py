"""What to bid for a question: an instrument, a price, and as many lots as the answer may take."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from market.amounts import (
    LOT_TOKENS,
    NOTIONAL_MIN_URUV,
    ORDER_BOND_URUV,
    compute_billed_tokens,
    divide_up,
)
from market.attestation import Model
from market.commands import PlaceOrder
from market.decimals import format_ruv
from market.instruments import LOTS_MAX, PRICE_MAX_URUV, STANDARD_TICKS
from market.orders import Side, TimeInForce
from market.tiers import STANDARD_TIERS, InvalidTiers
from meshnode.errors import CommandRejected
from meshnode.trading.errors import NoOffer, NotEnoughRuv
from meshnode.trading.models import is_meant

if TYPE_CHECKING:
    from collections.abc import Collection

    from market.orders import RestingOrder
    from market.state import MarketState

ANSWER_TOKENS: Final = 1_000
"""Longest answer where nobody says so: with its question it fits two lots, the smallest window."""
CLEARED_LOTS_MAX: Final = 256
"""Lots of providers that do not answer which one bid takes out of the way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody wants an answer for, and of whom."""

    max_price_uruv: int
    """Per lot of 1,000 billed tokens."""
    max_spend_uruv: int | None = None
    """For the whole answer."""
    model: str = "auto"
    context_tokens: int | None = None
    sla_bp: int | None = None
    first_token_ms: int | None = None
    reputation_bp: int | None = None
    answer_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A bid, and what it is to bring."""

    order: PlaceOrder
    clearing: PlaceOrder | None
    """A bid to place before it: for offers of providers that do not answer, which lie in the way.
    They let the time for their answer pass, and all comes back."""
    model: Model
    lots_needed: int
    """Of one contract, for the whole answer."""
    answer_tokens: int
    """Longest answer that these lots pay for."""


def plan_purchase(
    market: MarketState,
    account: bytes,
    wish: Wish,
    *,
    question_tokens: int,
    doubtful: Collection[bytes] = (),
    spent_uruv: int = 0,
) -> Plan:
    """Choose what to bid; `doubtful` are providers that did not answer lately.

    Raises `CommandRejected`, `NoOffer`, `NotEnoughRuv`.
    """
    tiers = _encode_tiers(wish)
    instrument, model, offers = _choose_instrument(market, account, wish, tiers, doubtful)
    wanted = wish.answer_tokens or ANSWER_TOKENS
    needed = _count_lots(model, question_tokens, wanted)
    limit_uruv = wish.max_price_uruv
    if wish.max_spend_uruv is None:
        lots = max(needed, divide_up(NOTIONAL_MIN_URUV, limit_uruv))
    else:
        # No lot is bought beyond the budget, not even one that is given back.
        best = next(offer for offer in offers if offer.owner not in doubtful)
        left_uruv = wish.max_spend_uruv - spent_uruv
        needed = min(needed, left_uruv // best.price_uruv)
        _check_budget(needed, model, question_tokens, left_uruv, best.price_uruv)
        limit_uruv = floor_price(min(limit_uruv, left_uruv // needed))
        lots = needed
    price_uruv = _choose_price(market, account, limit_uruv, offers, lots)
    free_uruv = market.ledger.get(account).free - 2 * ORDER_BOND_URUV - price_uruv * lots
    return Plan(
        order=_make_bid(instrument, price_uruv, min(lots, LOTS_MAX), tiers),
        clearing=_clear(instrument, tiers, offers, doubtful, free_uruv),
        model=model,
        lots_needed=needed,
        answer_tokens=count_answer_tokens(model, question_tokens, needed, wanted),
    )


def _make_bid(instrument: bytes, price_uruv: int, lots: int, tiers: int) -> PlaceOrder:
    return PlaceOrder(
        model=instrument,
        side=Side.BID,
        price=price_uruv,
        lots=lots,
        tiers=tiers,
        time_in_force=TimeInForce.IOC,
    )


def count_answer_tokens(model: Model, question_tokens: int, lots: int, wanted: int) -> int:
    """How long an answer may be that lots pay for; at least 1."""
    question = compute_billed_tokens(question_tokens, 0, model.in_weight_bp)
    return max(1, min(wanted, lots * LOT_TOKENS - question))


def floor_price(price_uruv: int) -> int:
    """The next price on the grid that is not higher."""
    tick = max(step for start, step in STANDARD_TICKS if start <= max(1, price_uruv))
    return price_uruv // tick * tick


def _count_lots(model: Model, question_tokens: int, answer_tokens: int) -> int:
    billed = compute_billed_tokens(question_tokens, answer_tokens, model.in_weight_bp)
    return divide_up(billed, LOT_TOKENS)


def _encode_tiers(wish: Wish) -> int:
    if not 1 <= wish.max_price_uruv <= PRICE_MAX_URUV:
        raise CommandRejected(
            f"a price of {wish.max_price_uruv} uruv per lot cannot be bid",
            hint=f"choose 1 to {PRICE_MAX_URUV}",
        )
    values = {
        name: value
        for name, value in (
            ("context_tokens", wish.context_tokens),
            ("sla_bp", wish.sla_bp),
            ("first_token_ms", wish.first_token_ms),
            ("reputation_bp", wish.reputation_bp),
        )
        if value is not None
    }
    try:
        return STANDARD_TIERS.encode_bid(values)
    except InvalidTiers as error:
        raise CommandRejected(error.message, hint=error.hint) from None


def _choose_instrument(
    market: MarketState,
    account: bytes,
    wish: Wish,
    tiers: int,
    doubtful: Collection[bytes],
) -> tuple[bytes, Model, list[RestingOrder]]:
    """The meant instrument with the best offer of who answers, and all offers that fit."""
    meant = [
        (name, model)
        for name, model in market.compliance.models.items()
        if is_meant(wish.model, model.model_variant, name) and model.policy != "forbidden"
    ]
    if not meant:
        raise NoOffer(
            f"no model on the market is called '{wish.model[:80]}'",
            hint="`meshnode market instruments` lists them",
        )
    found = [(name, model, _list_offers(market, name, tiers, account)) for name, model in meant]
    able = [
        (min(prices), name, model, offers)
        for name, model, offers in found
        if (prices := [each.price_uruv for each in offers if each.owner not in doubtful])
    ]
    price_uruv, name, model, offers = min(
        able, key=_get_place, default=(None, b"", meant[0][1], [])
    )
    if price_uruv is None or price_uruv > wish.max_price_uruv:
        raise _make_no_offer(wish, price_uruv, [each for _, _, each in found])
    return name, model, offers


def _get_place(row: tuple[int, bytes, Model, list[RestingOrder]]) -> tuple[int, bytes]:
    return row[:2]


def _list_offers(
    market: MarketState, model: bytes, tiers: int, account: bytes
) -> list[RestingOrder]:
    """Offers of others that are good enough, best first."""
    book = market.desk.books.get(model)
    if book is None:
        return []
    return [
        offer
        for offer in sorted(book.list_resting(Side.OFFER), key=_get_rank)
        if STANDARD_TIERS.serves(offer.tiers, tiers) and offer.owner != account
    ]


def _get_rank(offer: RestingOrder) -> tuple[int, int]:
    return offer.price_uruv, offer.seq


def _make_no_offer(wish: Wish, price_uruv: int | None, offers: list[list[RestingOrder]]) -> NoOffer:
    price = format_ruv(wish.max_price_uruv)
    if price_uruv is not None:
        return NoOffer(
            f"nobody offers this for {price} ruv per 1,000 tokens",
            hint=f"the best offer asks {format_ruv(price_uruv)}",
        )
    if any(offers):
        return NoOffer(
            "who offers this does not answer", hint="ask again later, or for a higher price"
        )
    return NoOffer(
        "nobody offers this now", hint="`meshnode market book` shows what is offered; ask for less"
    )


def _check_budget(
    lots: int, model: Model, question_tokens: int, left_uruv: int, price_uruv: int
) -> None:
    least = _count_lots(model, question_tokens, 1)
    need_uruv = max(price_uruv * least, NOTIONAL_MIN_URUV)
    if lots < least or lots * price_uruv < NOTIONAL_MIN_URUV:
        raise CommandRejected(
            f"{format_ruv(max(0, left_uruv))} ruv are left to spend, and the least bid for this "
            f"question is {format_ruv(need_uruv)}",
            hint="allow more with --max-ruv, or ask a shorter question",
        )


def _clear(
    instrument: bytes,
    tiers: int,
    offers: list[RestingOrder],
    doubtful: Collection[bytes],
    free_uruv: int,
) -> PlaceOrder | None:
    """A bid for the doubtful offers before the first of who answers, as far as money goes.

    It bids no more than they ask, so what others offer for more is left alone.
    """
    ahead = list(takewhile(lambda offer: offer.owner in doubtful, offers))
    price_uruv = max((offer.price_uruv for offer in ahead), default=0)
    if not price_uruv:
        return None
    lots = min(sum(offer.lots for offer in ahead), CLEARED_LOTS_MAX)
    lots = min(max(lots, divide_up(NOTIONAL_MIN_URUV, price_uruv)), free_uruv // price_uruv)
    if lots * price_uruv < NOTIONAL_MIN_URUV:
        return None
    return _make_bid(instrument, price_uruv, lots, tiers)


def _choose_price(
    market: MarketState, account: bytes, limit_uruv: int, offers: list[RestingOrder], lots: int
) -> int:
    """The highest price, or, where that cannot be covered, just what the lots cost now."""
    free_uruv = market.ledger.get(account).free - ORDER_BOND_URUV
    if free_uruv >= limit_uruv * lots:
        return limit_uruv
    price_uruv, left = 0, lots
    for offer in offers:
        if left > 0 and offer.price_uruv <= limit_uruv:
            price_uruv, left = offer.price_uruv, left - offer.lots
    if free_uruv >= price_uruv * lots >= NOTIONAL_MIN_URUV:
        return price_uruv
    have, need = max(0, free_uruv + ORDER_BOND_URUV), price_uruv * lots + ORDER_BOND_URUV
    raise NotEnoughRuv(
        f"this account has {format_ruv(have)} ruv free, and the bid needs {format_ruv(need)}",
        hint="ask for less with --max-ruv or --max-tokens, or receive ruv first",
    )
