"""What clients send about the market and money, read strictly."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from market.commands import BATCH_DECODER, Command
from market.instruments import BUDGET_MAX_URUV, LOTS_MAX, ORDER_LIFE_MAX_MS, PRICE_MAX_URUV
from meshnode.gateway.bodies import Body
from meshnode.market_views import LISTED, LISTED_MAX, ORDERED_WAIT_MS

_Text = Annotated[str, msgspec.Meta(max_length=256)]
_Wait = Annotated[int, msgspec.Meta(ge=0, le=600_000)]
_Limit = Annotated[int, msgspec.Meta(ge=1, le=LISTED_MAX)]
_Amount = Annotated[int, msgspec.Meta(ge=1, le=2**62)]
_Price = Annotated[int, msgspec.Meta(ge=1, le=PRICE_MAX_URUV)]
_Lots = Annotated[int, msgspec.Meta(ge=1, le=LOTS_MAX)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_Life = Annotated[int, msgspec.Meta(ge=1, le=ORDER_LIFE_MAX_MS)]
_Flags = Annotated[tuple[_Text, ...], msgspec.Meta(max_length=8)]


class BookQuery(Body, frozen=True, kw_only=True):
    """Which book, and how much of it."""

    model: _Text
    depth: _Limit = LISTED


class ListQuery(Body, frozen=True, kw_only=True):
    """Whose, of what, and how many."""

    account: _Text | None = None
    model: _Text | None = None
    limit: _Limit = LISTED


class ContractsQuery(Body, frozen=True, kw_only=True):
    """Whose contracts, and whether those that are over."""

    account: _Text | None = None
    ended: bool = False
    limit: _Limit = LISTED


class AccountQuery(Body, frozen=True, kw_only=True):
    """Whose; the node's own if nothing is said."""

    account: _Text | None = None


class HistoryQuery(Body, frozen=True, kw_only=True):
    """Whose past, and how much of it."""

    account: _Text | None = None
    limit: _Limit = LISTED


class AuditQuery(HistoryQuery, frozen=True, kw_only=True):
    """Whose chain; the newest of it, or a page behind a place."""

    after: _Count | None = None


class SubmissionQuery(Body, frozen=True, kw_only=True):
    """How long to wait for a place in the order."""

    wait_ms: _Wait = 0


class _Saying(Body, frozen=True, kw_only=True):
    """Base of what says something to the market."""

    wait_ms: _Wait = ORDERED_WAIT_MS


class BidBody(_Saying, frozen=True, kw_only=True):
    """What is bid for."""

    model: _Text
    price_uruv: _Price | None
    lots: _Lots
    context_tokens: _Count | None = None
    sla_bp: _Count | None = None
    first_token_ms: _Count | None = None
    reputation_bp: _Count | None = None
    flags: _Flags = ()
    time_in_force: _Text = "gtc"
    expires_in_ms: _Life | None = None
    budget_uruv: Annotated[int, msgspec.Meta(ge=0, le=BUDGET_MAX_URUV)] = 0


class OfferBody(_Saying, frozen=True, kw_only=True):
    """What is offered."""

    model: _Text
    price_uruv: _Price
    lots: _Lots
    context_tokens: _Count | None = None
    sla_bp: _Count | None = None
    first_token_ms: _Count | None = None
    flags: _Flags = ()
    time_in_force: _Text = "gtc"
    expires_in_ms: _Life | None = None
    epochs: Annotated[int, msgspec.Meta(ge=0, le=65_536)] = 0


class CancelBody(_Saying, frozen=True, kw_only=True):
    """Which order, or all of a model, or all."""

    order: _Text | None = None
    model: _Text | None = None


class AttestBody(_Saying, frozen=True, kw_only=True):
    """The own backend for a model."""

    model: _Text
    backend: Literal["own_weights", "own_account"]
    terms_digest: _Text
    terms_version: _Text
    hardware_digest: _Text
    daily_cap_lots: _Count


class RevokeBody(_Saying, frozen=True, kw_only=True):
    """Whose attestation goes."""

    model: _Text


class ListingBody(_Saying, frozen=True, kw_only=True):
    """What is to be listed."""

    variant: _Text
    policy: Literal["open", "contribution_only", "forbidden"] = "open"
    backend_class: _Text = "own_weights"
    in_weight_bp: _Count = 2_500
    nonce: _Count = 0


class SendBody(_Saying, frozen=True, kw_only=True):
    """Who gets how much."""

    receiver: _Text
    amount_uruv: _Amount
    memo: _Text = ""


class AmountBody(_Saying, frozen=True, kw_only=True):
    """How much."""

    amount_uruv: _Amount


class MintBody(_Saying, frozen=True, kw_only=True):
    """Who is to get how much new money."""

    account: _Text
    amount_uruv: _Amount
    nonce: _Count = 0


class SubmitBody(_Saying, frozen=True, kw_only=True):
    """Any commands, in the form in which a vertex carries them."""

    batch_base64: bytes
    """Canonical `market.commands.Batch`."""

    def get_commands(self) -> tuple[Command, ...]:
        """The commands. Raises `MalformedMessage` or `MessageTooLarge`."""
        return BATCH_DECODER.decode(self.batch_base64).commands


def get_options(body: Body, *left_out: str) -> dict[str, object]:
    """The fields of a body as keyword arguments."""
    return {name: getattr(body, name) for name in body.__struct_fields__ if name not in left_out}
