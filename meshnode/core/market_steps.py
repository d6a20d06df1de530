"""What a commit did to the market, as a value that leaves the core."""

from __future__ import annotations

import msgspec

from market.contracts import Contract, Ended
from market.events import Event
from market.state import MarketState


class MarketStep(msgspec.Struct, frozen=True):
    """What happened in one commit: a function of the order, so every node has the same."""

    events: tuple[Event, ...]
    """Refusals included."""
    opened: tuple[Contract, ...] = ()
    """What was traded, each as it began."""
    ended: tuple[Ended, ...] = ()


def take_step(market: MarketState) -> MarketStep | None:
    """What the last commit did; None for nothing."""
    if not market.events:
        return None
    # The state goes on changing its records, so what is told is a copy.
    opened = tuple(msgspec.structs.replace(contract) for contract in market.opened)
    return MarketStep(market.events, opened, market.ended)
