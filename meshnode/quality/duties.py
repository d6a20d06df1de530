"""What a prober has to do: the windows that the market drew it for, and when to ask in each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dag.canonical import compute_digest
from market.orders import Side
from market.sla import WINDOW_MS

if TYPE_CHECKING:
    from market.book import Book
    from market.state import MarketState

PLAN_DOMAIN: Final = b"meshnode/quality-plan/1"


@dataclass(frozen=True, slots=True)
class Duty:
    """A provider to be watched in a window."""

    provider: bytes
    window: int

    def count_left_ms(self, time_ms: int) -> int:
        """Until the window ends; reports are taken for a while longer."""
        return max(0, (self.window + 1) * WINDOW_MS - time_ms)


@dataclass(frozen=True, slots=True)
class Sold:
    """What a provider sells, and the least it asks for it now."""

    variant: str
    ask_uruv: int | None


def find_duties(market: MarketState, account: bytes) -> list[Duty]:
    """Windows on which this account may report and has not, the oldest first."""
    due = [
        Duty(row.provider, row.number)
        for row in market.windows.rows.rows()
        if account in row.probers and all(report.prober != account for report in row.reports)
    ]
    return sorted(due, key=lambda duty: (duty.window, duty.provider))


def find_sold(market: MarketState, duty: Duty) -> Sold | None:
    """What to ask the provider for; None where it neither delivers nor offers anything now."""
    asks = {
        model: price_uruv
        for model, book in sorted(market.desk.books.items())
        if (price_uruv := _find_ask(book, duty.provider)) is not None
    }
    model = next(iter([*_list_delivered(market, duty), *asks]), None)
    listed = None if model is None else market.compliance.models.get(model)
    if model is None or listed is None:
        return None
    return Sold(listed.model_variant, asks.get(model))


def _list_delivered(market: MarketState, duty: Duty) -> list[bytes]:
    """Models of the window's contracts that are live."""
    rows = market.contracts.rows
    return [
        contract.model
        for window in market.windows.rows.rows()
        if (window.provider, window.number) == (duty.provider, duty.window)
        for contract_id in sorted(window.served)
        if (contract := rows.get(contract_id)) is not None
    ]


def _find_ask(book: Book, provider: bytes) -> int | None:
    """The least that a provider asks in a book."""
    offers = book.list_resting(Side.OFFER)
    return min((each.price_uruv for each in offers if each.owner == provider), default=None)


def plan_offsets(left_ms: int, count: int, seed: bytes) -> list[int]:
    """When to ask, in milliseconds from now: one question in each part of what is left.

    Where in its part follows from a secret seed, so that no provider can tell when a prober asks.
    """
    offsets = []
    for number in range(count):
        start, end = left_ms * number // count, left_ms * (number + 1) // count
        drawn = compute_digest(PLAN_DOMAIN, seed + number.to_bytes(2, "big"))
        offsets.append(start + int.from_bytes(drawn[:8], "big") % max(1, end - start))
    return offsets
