"""`meshnode market offer`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter, validators

from market.offer_terms import format_price_per_token
from meshnode.cli.exits import OK
from meshnode.cli.formats import format_id
from meshnode.cli.money import read_price
from meshnode.cli.offer_text import describe_offer, make_offer_document
from meshnode.cli.order_options import (
    DEFAULTS,
    ORDER_HOURS,
    OrderOptions,
    PriceOption,
    TokensOption,
    choose_life,
    keep_given,
    report_order,
)
from meshnode.cli.output import clean_line, print_json, say, write
from meshnode.client import connect
from meshnode.errors import CommandRejected, ConfigError

if TYPE_CHECKING:
    from market.offer_terms import ConvertedOffer
    from meshnode.client import RemoteNode
    from meshnode.offer_file import OfferFile


async def offer(
    model: Annotated[
        str | None, Parameter(help="The model you serve; or give a whole --file.")
    ] = None,
    *,
    price: PriceOption = None,
    price_per_token: Annotated[
        str | None, Parameter(help="Ruv per token instead: 0.000002.")
    ] = None,
    tokens: TokensOption = None,
    renew_h: Annotated[
        int,
        Parameter(
            help="For so many hours, offer all tokens anew each hour.",
            validator=validators.Number(gte=0, lte=ORDER_HOURS),
        ),
    ] = 0,
    post_only: Annotated[
        bool, Parameter(negative="", show_default=False, help="Refused where it would trade.")
    ] = False,
    file: Annotated[Path | None, Parameter(help="An offer as a TOML file.")] = None,
    example: Annotated[
        bool, Parameter(negative="", show_default=False, help="Print such a file, and end.")
    ] = False,
    options: OrderOptions = DEFAULTS,
) -> int:
    """Offer capacity that this node serves."""
    from meshnode.offer_file import EXAMPLE

    if example:
        write(EXAMPLE)
        return OK
    stated = {
        "model_variant": model,
        "price_per_token": _choose_price(price, price_per_token),
        "tokens": tokens,
        **keep_given(renew_hours=renew_h, post_only=post_only),
    }
    terms = _read_terms(file, stated, options)
    converted = terms.convert()
    if options.dry_run:
        return _show(terms, converted, json=options.json)
    async with connect(options.home) as node:
        await check_ownership(node, terms)
        outcome = await node.market_offer(
            terms.model_variant,
            price_uruv=converted.price_uruv,
            lots=converted.lots,
            context_tokens=converted.context_tokens,
            sla_bp=converted.sla_bp,
            first_token_ms=converted.first_token_ms,
            flags=converted.flags,
            time_in_force="post_only" if terms.post_only else "gtc",
            expires_in_ms=choose_life(terms.lasts_hours),
            epochs=converted.epochs,
            wait_ms=options.wait_ms,
        )
    return report_order(outcome, "offer", converted.lots, json=options.json)


def _read_terms(file: Path | None, stated: dict[str, Any], options: OrderOptions) -> OfferFile:
    """The offer, from a file or from what was typed. Raises `ConfigError`."""
    from meshnode.offer_file import check_offer, read_offer_file

    typed = stated | {
        "context_limit": options.context,
        "sla_guarantee": options.sla,
        "first_token_s": options.first_token_s,
        **keep_given(region=options.region, tee=options.tee),
    }
    typed = {name: value for name, value in typed.items() if value is not None}
    if file is None:
        return check_offer({**typed, "lasts_hours": options.lasts_h}, origin="the command line")
    if typed or options.lasts_h != ORDER_HOURS:
        raise ConfigError("an offer is a file or options, not both", hint="edit the file")
    return read_offer_file(file)


def _show(terms: OfferFile, converted: ConvertedOffer, *, json: bool) -> int:
    if json:
        print_json(make_offer_document(terms, converted))
        return OK
    for text in describe_offer(terms, converted):
        say(text)
    return OK


async def check_ownership(node: RemoteNode, terms: OfferFile) -> None:
    """Raises `CommandRejected` where a file is another provider's, or of another machine."""
    from meshnode.hardware_spec import compute_hardware_digest

    if terms.provider is None and terms.hardware_spec is None:
        return
    status = await node.status()
    provider = terms.provider
    if provider not in {None, status.name} and not status.author.startswith(provider or ""):
        raise CommandRejected(
            f"the offer is by '{clean_line(provider or '', 40)}', and this node is "
            f"{clean_line(status.name) or format_id(status.author)}",
            hint="run it on that node, or leave `provider` out",
        )
    if terms.hardware_spec is None:
        return
    digest = compute_hardware_digest(
        bytes.fromhex(status.author), terms.hardware_spec.make_spec()
    ).hex()
    given = await node.market_attestations(account=status.author, model=terms.model_variant)
    if given and given[0].hardware_digest != digest:
        raise CommandRejected(
            f"the offer describes hardware {digest[:8]}, and what is attested is "
            f"{format_id(given[0].hardware_digest)}",
            hint="attest again: `meshnode market attest --file FILE ...`",
        )


def _choose_price(price: str | None, price_per_token: str | None) -> str | None:
    """Ruv per token, whichever way it was said."""
    if price is not None and price_per_token is not None:
        raise ConfigError("--price and --price-per-token say one thing", hint="give one of them")
    return (
        price_per_token if price is None else format_price_per_token(read_price(price, "--price"))
    )
