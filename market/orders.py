"""Orders and other messages to a book, and the events it answers with: all are plain values.

Ids and owners are opaque: bytes where accounts place orders, integers in recorded streams. A book
only compares them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

import msgspec

OrderId: TypeAlias = int | bytes
Owner: TypeAlias = int | bytes


class Side(StrEnum):
    """Which side of a book an order is on."""

    BID = "bid"
    OFFER = "offer"


class TimeInForce(StrEnum):
    """How long an order stays, and what it does when it comes."""

    GTC = "gtc"
    """Good till cancelled, though no order outlives the instrument's longest life."""
    GTD = "gtd"
    """Good till a date of its own."""
    IOC = "ioc"
    """Immediate or cancel: what does not trade at once is cancelled."""
    FOK = "fok"
    """Fill or kill: everything at once, or nothing."""
    POST_ONLY = "post_only"
    """Rests, or is refused where it would trade."""


class Code(StrEnum):
    """Why a message was refused. Codes are part of the protocol and never renamed."""

    DUPLICATE_ID = "duplicate_id"
    BAD_LOTS = "bad_lots"
    BAD_PRICE = "bad_price"
    OFF_TICK = "off_tick"
    BAD_TIERS = "bad_tiers"
    BAD_TERMS = "bad_terms"
    """Terms that do not go together, such as a market order that would rest."""
    BAD_BUDGET = "bad_budget"
    BAD_EXPIRY = "bad_expiry"
    BOOK_FULL = "book_full"
    WOULD_TAKE = "would_take"
    """A POST_ONLY order that would have traded."""
    CANNOT_FILL = "cannot_fill"
    """A FOK order that cannot be filled whole."""
    UNKNOWN_ORDER = "unknown_order"
    FOREIGN_ORDER = "foreign_order"


class Reason(StrEnum):
    """Why lots left the book, or never entered it, without a trade."""

    OWNER = "owner"
    REDUCED = "reduced"
    REPLACED = "replaced"
    IMMEDIATE = "immediate"
    """Left over of an order that does not rest."""
    BUDGET = "budget"
    """What is left of the budget does not pay for one more lot."""
    MAX_FILLS = "max_fills"
    SELF_TRADE = "self_trade"
    EXPIRED = "expired"
    EPOCH = "epoch"
    """Unsold lots of a rate offer at the end of an epoch."""


# --- messages ------------------------------------------------------------------------------------


class NewOrder(msgspec.Struct, frozen=True, array_like=True, tag="new", gc=False):
    """An order for lots. A price of None makes it a market order, which has a budget instead."""

    id: OrderId
    owner: Owner
    side: Side
    price_uruv: int | None
    """For each lot: a bid pays at most this, an offer takes at least this."""
    lots: int
    tiers: int = 0
    """What an offer gives, or a bid asks for, as the instrument's `TierScheme` writes it."""
    time_in_force: TimeInForce = TimeInForce.GTC
    expires_ms: int = 0
    """The first time at which it is gone; 0 for as long as the instrument allows."""
    budget_uruv: int = 0
    """What a market order trades at most, in price times lots."""
    epochs: int = 0
    """0 for a spot offer; a rate offer shows its lots anew in so many epochs."""
    group: Owner | None = None
    """Orders of one group never trade with each other, whoever owns them."""


class Cancel(msgspec.Struct, frozen=True, array_like=True, tag="cancel"):
    """Take an order out."""

    id: OrderId
    owner: Owner


class CancelAll(msgspec.Struct, frozen=True, array_like=True, tag="cancel_all"):
    """Take all orders of an owner out, oldest first."""

    owner: Owner


class Reduce(msgspec.Struct, frozen=True, array_like=True, tag="reduce"):
    """Leave fewer lots of an order, which keeps its place; 0 takes it out."""

    id: OrderId
    owner: Owner
    lots: int


class Replace(msgspec.Struct, frozen=True, array_like=True, tag="replace"):
    """Give an order another price or more lots; it goes to the end of the queue.

    Fewer lots at the same price are a `Reduce`, unless `always_requeue` says otherwise.
    """

    id: OrderId
    owner: Owner
    price_uruv: int
    lots: int
    always_requeue: bool = False


Message: TypeAlias = NewOrder | Cancel | CancelAll | Reduce | Replace

# --- events --------------------------------------------------------------------------------------


class Filled(msgspec.Struct, frozen=True, array_like=True, tag="filled", gc=False):
    """Lots that pass from an offer to a bid, at the price of the one that rested."""

    number: int
    """Counts the trades of a book, from 1."""
    taker: OrderId
    maker: OrderId
    taker_owner: Owner
    maker_owner: Owner
    taker_side: Side
    price_uruv: int
    lots: int


class Rested(msgspec.Struct, frozen=True, array_like=True, tag="rested", gc=False):
    """Lots that wait in the book from now on."""

    id: OrderId
    owner: Owner
    lots: int
    seq: int
    """The place in time: smaller goes first at one price."""


class Cancelled(msgspec.Struct, frozen=True, array_like=True, tag="cancelled", gc=False):
    """Lots that will not trade any more."""

    id: OrderId
    owner: Owner
    lots: int
    reason: Reason


class Rejected(msgspec.Struct, frozen=True, array_like=True, tag="rejected", gc=False):
    """A message without any effect."""

    id: OrderId
    owner: Owner
    code: Code


Event: TypeAlias = Filled | Rested | Cancelled | Rejected


class RestingOrder(msgspec.Struct, array_like=True, gc=False):
    """An order that a book knows. Only its book changes it."""

    id: OrderId
    owner: Owner
    group: Owner | None
    side: Side
    price_uruv: int
    lots: int
    """What is left. A rate offer may have none until the next epoch."""
    tiers: int
    seq: int
    expires_ms: int
    rate_lots: int = 0
    """What a rate offer shows anew."""
    epochs_left: int = 0
    """Epochs after this one in which it does."""
