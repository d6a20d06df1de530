"""An order book drawn with characters: prices as rungs of a ladder, depth as bars."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Final, NamedTuple

from market.decimals import format_ruv
from meshnode.cli.market_text import describe_attributes
from meshnode.cli.money import format_percent, format_price, format_tokens
from meshnode.cli.output import WIDTH_MAX, clean_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshnode.market_views import BookInfo, InstrumentInfo, LevelInfo

BID_STYLE: Final = "green"
OFFER_STYLE: Final = "red"
_EIGHTHS: Final = " ▏▎▍▌▋▊▉"
_TICKS: Final = "▁▂▃▄▅▆▇█"
_HEADINGS: Final = ("", "price", "tokens", "orders", "promised or asked for")
_BAR_MIN: Final = 4


class Rung(NamedTuple):
    """A line of the drawing, and its colour if there is one."""

    text: str
    style: str = ""


def draw_book(book: BookInfo) -> list[Rung]:
    """The ladder, from the dearest offer down to the cheapest bid."""
    prices = align_decimals([level.price_uruv for level in (*book.offers, *book.bids)])
    offers = [_describe_level("offer", *each) for each in zip(book.offers, prices, strict=False)]
    bids = [
        _describe_level("bid", *each) for each in zip(book.bids, prices[len(offers) :], strict=True)
    ]
    widths = [max(map(len, column)) for column in zip(_HEADINGS, *offers, *bids, strict=True)]
    sides = ((book.offers, offers), (book.bids, bids))
    deepest = max(sum(level.lots for level in levels) for levels, _ in sides)
    bar = max(_BAR_MIN, WIDTH_MAX - sum(widths) - len(widths))
    asks, asked = (
        [
            _lay_out(cells, widths, draw_bar(depth, deepest, bar))
            for cells, depth in zip(rows, accumulate(level.lots for level in levels), strict=True)
        ]
        for levels, rows in sides
    )
    return [
        *(Rung(text) for text in describe_instrument(book.instrument)),
        Rung(_lay_out(_HEADINGS, widths, "depth")),
        *_draw_more(book.more_offers, widths[0]),
        *(Rung(text, OFFER_STYLE) for text in reversed(asks)),
        Rung(f"{'':{widths[0]}} {describe_spread(book.instrument)}"),
        *(Rung(text, BID_STYLE) for text in asked),
        *_draw_more(book.more_bids, widths[0]),
    ]


def describe_instrument(instrument: InstrumentInfo) -> list[str]:
    """What is traded, in a line or two."""
    lines = [
        clean_line(
            f"{instrument.variant} ({instrument.model[:8]}), {instrument.backend_class}, "
            f"{instrument.policy}; ruv per 1,000 tokens",
            WIDTH_MAX,
        )
    ]
    if instrument.policy == "contribution_only":
        lines.append("payments are rewards: its terms allow contribution, not sale")
    return lines


def describe_spread(instrument: InstrumentInfo) -> str:
    """How far bids and offers are apart."""
    bid, offer = instrument.best_bid_uruv, instrument.best_offer_uruv
    if bid is None and offer is None:
        return "nobody bids or offers"
    if bid is None:
        return f"no bids; offered from {format_price(offer)}"
    if offer is None:
        return f"no offers; bid up to {format_price(bid)}"
    if offer <= bid:
        # Prices cross where no offer promises what the bids ask for.
        return f"bids of {format_ruv(bid)} ask for more than offers of {format_ruv(offer)} promise"
    share_bp = (offer - bid) * 10_000 // offer
    return f"spread {format_ruv(offer - bid)} ({format_percent(share_bp)})"


def draw_sparkline(prices: Sequence[int], width: int) -> str:
    """Prices in their order as a line of small bars, the last ones where there are too many."""
    shown = list(prices)[-width:]
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    span = high - low
    steps = len(_TICKS) - 1
    return "".join(_TICKS[(price - low) * steps // span if span else steps // 2] for price in shown)


def draw_bar(part: int, whole: int, width: int) -> str:
    """A bar as long as a part is of a whole; never empty for a part that is not nothing."""
    if not part or not whole:
        return ""
    eighths = max(1, part * width * 8 // whole)
    full, rest = divmod(eighths, 8)
    return "█" * full + (_EIGHTHS[rest] if rest else "")


def align_decimals(prices: Sequence[int]) -> list[str]:
    """Prices, each with as many decimals as the one that has most."""
    texts = [format_ruv(price) for price in prices]
    places = max((len(text.partition(".")[2]) for text in texts), default=0)
    parts = [text.partition(".") for text in texts]
    return [f"{whole}.{tail:0<{places}}" if places else whole for whole, _, tail in parts]


def _describe_level(side: str, level: LevelInfo, price: str) -> tuple[str, ...]:
    return (
        side,
        price,
        format_tokens(level.lots),
        str(level.orders),
        describe_attributes(level.attributes),
    )


def _draw_more(levels: int, indent: int) -> list[Rung]:
    return [Rung(f"{'':{indent}} and {levels} more; --depth shows more")] if levels else []


def _lay_out(cells: Sequence[str], widths: Sequence[int], bar: str) -> str:
    """Numbers to the right, words to the left, and the bar behind them."""
    side, *numbers, words = cells
    first, *others, last = widths
    middle = " ".join(f"{cell:>{width}}" for cell, width in zip(numbers, others, strict=True))
    return f"{side:{first}} {middle} {words:{last}} {bar}".rstrip()
