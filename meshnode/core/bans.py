"""Which peers are refused, until when; kept over restarts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from meshnode.core.effects import StoreValue

if TYPE_CHECKING:
    from meshnode.core.outbox import Outbox

BANS_KEY: Final = "bans"
BANS_MAX: Final = 256
"""The ban that ends first makes room; those of authors stay longest."""
_AUTHOR: Final = "author:"

_decoder: Final = msgspec.msgpack.Decoder(dict[str, int])
_encoder: Final = msgspec.msgpack.Encoder()


def name_author(author: bytes) -> str:
    """What a ban of an author is kept under.

    Transport ids cost nothing: who was banned under one comes back under another. Whoever had
    proved an author is therefore banned as that author too.
    """
    return _AUTHOR + author.hex()


class Bans:
    """Peers, by transport id or author, and the times their bans end."""

    def __init__(self, outbox: Outbox, stored: bytes) -> None:
        self._outbox = outbox
        self._until: dict[str, int] = _decoder.decode(stored) if stored else {}

    def add(self, peer: str, until_ms: int) -> None:
        """Refuse a peer until a time."""
        self._until[peer] = max(until_ms, self._until.get(peer, 0))
        while len(self._until) > BANS_MAX:
            del self._until[min(self._until, key=self._rank)]
        self._outbox.persist(StoreValue(BANS_KEY, _encoder.encode(self._until)))

    def _rank(self, name: str) -> tuple[bool, int, str]:
        return name.startswith(_AUTHOR), self._until[name], name

    def get_until(self, now_ms: int, peer: str) -> int:
        """When a peer's ban ends; 0 when it is not banned."""
        until_ms = self._until.get(peer, 0)
        if 0 < until_ms <= now_ms:
            del self._until[peer]
            return 0
        return until_ms
