"""Which peers are refused, until when; kept over restarts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from meshnode.core.effects import StoreValue

if TYPE_CHECKING:
    from meshnode.core.outbox import Outbox

BANS_KEY: Final = "bans"
BANS_MAX: Final = 256
"""The ban that ends first makes room."""

_decoder: Final = msgspec.msgpack.Decoder(dict[str, int])
_encoder: Final = msgspec.msgpack.Encoder()


class Bans:
    """Peers and the times their bans end."""

    def __init__(self, outbox: Outbox, stored: bytes) -> None:
        self._outbox = outbox
        self._until: dict[str, int] = _decoder.decode(stored) if stored else {}

    def add(self, peer: str, until_ms: int) -> None:
        """Refuse a peer until a time."""
        self._until[peer] = max(until_ms, self._until.get(peer, 0))
        while len(self._until) > BANS_MAX:
            del self._until[min(self._until, key=lambda name: (self._until[name], name))]
        self._outbox.persist(StoreValue(BANS_KEY, _encoder.encode(self._until)))

    def get_until(self, now_ms: int, peer: str) -> int:
        """When a peer's ban ends; 0 when it is not banned."""
        until_ms = self._until.get(peer, 0)
        if 0 < until_ms <= now_ms:
            del self._until[peer]
            return 0
        return until_ms
