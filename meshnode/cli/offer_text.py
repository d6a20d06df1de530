"""What an offer becomes in the book, for people and for programs, before it is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from market.amounts import FEE_BP, ORDER_BOND_URUV
from market.offer_terms import format_price_per_token
from meshnode.cli.formats import format_count
from meshnode.cli.market_text import line
from meshnode.cli.money import format_amount, format_percent, format_price
from meshnode.cli.output import clean_line

if TYPE_CHECKING:
    from market.offer_terms import ConvertedOffer
    from meshnode.offer_file import OfferFile

_DAY_MS = 86_400_000


def describe_offer(terms: OfferFile, offer: ConvertedOffer) -> list[str]:
    """What is offered, what it promises, and what it holds of the stake; one fact a line."""
    return [
        line("model", clean_line(terms.model_variant)),
        line(
            "price",
            f"{format_price_per_token(offer.price_uruv)} ruv a token = "
            f"{format_price(offer.price_uruv)} per 1,000 ({offer.price_uruv} uruv a lot)",
        ),
        line(
            "tokens",
            f"{terms.tokens:,} = {format_count(offer.lots, 'lot')}, worth "
            f"{format_amount(offer.notional_uruv)} less a fee of {format_percent(FEE_BP)}",
        ),
        line("context", _describe_context(terms, offer)),
        line("guarantee", _describe_guarantee(terms, offer)),
        line("first token", _describe_first_token(offer)),
        *([line("shows", ", ".join(offer.flags))] if offer.flags else []),
        line("collateral", f"{format_amount(offer.collateral_uruv)} of the stake while it is open"),
        line(
            "bond", f"{format_amount(ORDER_BOND_URUV)}, which comes back unless cancelled at once"
        ),
        line("lasts", _describe_life(terms)),
    ]


def make_offer_document(terms: OfferFile, offer: ConvertedOffer) -> dict[str, Any]:
    """The same for programs: integers."""
    return {
        "schema": "meshnode.market-offer-plan/1",
        "model": terms.model_variant,
        "price_uruv": offer.price_uruv,
        "lots": offer.lots,
        "tiers": offer.tiers,
        "context_tokens": offer.context_tokens,
        "sla_bp": offer.sla_bp,
        "first_token_ms": offer.first_token_ms,
        "flags": list(offer.flags),
        "epochs": offer.epochs,
        "lasts_hours": terms.lasts_hours,
        "notional_uruv": offer.notional_uruv,
        "collateral_uruv": offer.collateral_uruv,
        "bond_uruv": ORDER_BOND_URUV,
    }


def _describe_context(terms: OfferFile, offer: ConvertedOffer) -> str:
    if terms.context_limit == offer.context_tokens:
        return f"{offer.context_tokens:,} tokens"
    return f"{offer.context_tokens:,} tokens, the tier below your {terms.context_limit:,}"


def _describe_guarantee(terms: OfferFile, offer: ConvertedOffer) -> str:
    if not offer.sla_bp:
        return "none"
    text = format_percent(offer.sla_bp)
    stated = terms.sla_guarantee.strip().removesuffix("%").rstrip()
    return text if f"{stated} %" == text else f"{text}, the tier below your {stated} %"


def _describe_first_token(offer: ConvertedOffer) -> str:
    if offer.first_token_ms >= _DAY_MS:
        return "within a day"
    return f"within {offer.first_token_ms // 1_000} s"


def _describe_life(terms: OfferFile) -> str:
    hours = format_count(terms.lasts_hours, "hour")
    if not terms.renew_hours:
        return f"{hours}, or until all is sold"
    return f"{hours}; all tokens anew for {format_count(terms.renew_hours, 'hour')}"
