"""What a side of a contract has to tell the market next: a rule over what is agreed and what is held.

Nothing is remembered between two looks, so a node that was killed goes on where it stopped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from market.commands import Accept, Close, Command, Decline, Finalise, PostReceipt
from market.contracts import BUYER_FINAL, PROVIDER_FINAL

if TYPE_CHECKING:
    from market.contracts import Contract
    from meshnode.trading.records import Record

POST_GRACE_MS: Final = 3_000
"""The provider posts the last receipt; if it has not by then, the buyer does."""
UNCLAIMED_MS: Final = 3_000
"""A contract that nobody asks under for so long is closed, also after a restart."""
KEEP_ALIVE_MS: Final = 15_000
"""A stream posts a receipt as often, because a contract that is silent for 30 s ends."""


class Standing(NamedTuple):
    """What this node alone knows of one of its contracts."""

    record: Record | None
    """What is kept of its receipts; None while nothing has begun."""
    is_live: bool
    """Whether an answer streams under it."""
    quiet_ms: int
    """Since its stream began or ended, since it was first seen, or since a receipt was posted."""
    is_released: bool = False
    """Of the buyer: no answer will be asked for under it."""


def list_provider_commands(
    contract: Contract, standing: Standing, *, is_wanted: bool
) -> tuple[Command, ...]:
    """What the provider says next; `is_wanted`: whether it would take the task now."""
    if contract.phase == "locked":
        return (Accept(contract.id) if is_wanted else Decline(contract.id),)
    if contract.phase == "disputed":
        return ()
    news = _find_news(contract, standing)
    if news is not None:
        fading = contract.phase == "delivering" and standing.quiet_ms >= KEEP_ALIVE_MS
        return (news,) if fading or not standing.is_live else ()
    if contract.phase == "claimable" and not (standing.is_live or contract.finals & PROVIDER_FINAL):
        return (Finalise(contract.id),)
    return ()


def list_buyer_commands(contract: Contract, standing: Standing) -> tuple[Command, ...]:
    """What the buyer says next."""
    if standing.is_live or contract.phase in ("locked", "disputed"):
        return ()
    news = _find_news(contract, standing)
    receipt = None if standing.record is None else standing.record.receipt
    if receipt is not None and receipt.final:
        if news is not None:
            return (news,) if standing.quiet_ms >= POST_GRACE_MS else ()
    elif contract.phase == "delivering":
        if not (standing.is_released or standing.record or standing.quiet_ms >= UNCLAIMED_MS):
            return ()
        return (Close(contract.id),) if news is None else (news, Close(contract.id))
    elif news is not None:
        return (news,)
    if contract.phase == "claimable" and not contract.finals & BUYER_FINAL:
        return (Finalise(contract.id),)
    return ()


def _find_news(contract: Contract, standing: Standing) -> PostReceipt | None:
    """The highest receipt that is held, if the market does not know it yet."""
    record = standing.record
    if record is None or record.signed is None:
        return None
    known, held = contract.receipt, record.receipt
    assert held is not None, "a signed receipt can be read"
    if known is not None and (known.final or held.seq <= known.seq):
        return None
    return PostReceipt(record.signed)
