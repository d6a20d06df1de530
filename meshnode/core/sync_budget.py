"""How much a peer may cause by comparing stores: answers to HEADS, and vertices sent for them.

HEADS of a hundred bytes may say that their sender holds nothing, and be said again every second.
Whoever really holds nothing is sent the store once. So a peer is sent as much as the store a few
times, and then as much again within ten minutes; that is remembered from one connection to the next.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from meshnode.core.token_bucket import TokenBucket

if TYPE_CHECKING:
    from collections.abc import Sequence

HEADS_GAP_MS: Final = 500
"""An honest peer asks once a second at most."""
HEADS_BURST: Final = 4
STORES_MAX: Final = 4
"""How many times the store a peer may be sent per period."""
VERTICES_MIN: Final = 1_024
"""As if a store were not smaller."""
PERIOD_MS: Final = 600_000
PEERS_MAX: Final = 256
"""Peers of whom it is known what they were sent."""


@dataclass(slots=True, eq=False)
class _Account:
    """What one peer has caused lately."""

    heads: TokenBucket = field(default_factory=lambda: TokenBucket(HEADS_GAP_MS, HEADS_BURST))
    sent: int = 0
    since_ms: int = 0


class SyncBudget:
    """The accounts of all peers."""

    def __init__(self) -> None:
        self._accounts: dict[str, _Account] = {}

    def may_answer(self, now_ms: int, peer: str) -> bool:
        """Whether HEADS of a peer are worth HEADS in return."""
        return self._get(peer).heads.take(now_ms)

    def grant(
        self, now_ms: int, peer: str, ids: Sequence[bytes], *, held: int
    ) -> tuple[bytes, ...]:
        """The first of these vertices, as many as a peer may be sent by a node that holds so many."""
        account = self._get(peer)
        capacity = STORES_MAX * max(held, VERTICES_MIN)
        forgiven = capacity * (now_ms - account.since_ms) // PERIOD_MS
        if forgiven >= account.sent:
            account.sent, account.since_ms = 0, now_ms
        elif forgiven:
            account.sent -= forgiven
            account.since_ms += forgiven * PERIOD_MS // capacity
        granted = tuple(ids[: max(0, capacity - account.sent)])
        account.sent += len(granted)
        return granted

    def _get(self, peer: str) -> _Account:
        account = self._accounts.get(peer)
        if account is None:
            account = self._accounts[peer] = _Account()
            if len(self._accounts) > PEERS_MAX:
                del self._accounts[next(iter(self._accounts))]
        return account
