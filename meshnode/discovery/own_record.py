"""This node's own record: made anew when what it says has changed, or before it grows old."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meshnode.core.peer_record import LIFETIME_MS, sign_record
from meshnode.transport.peer_id import public_key_from_peer_id

if TYPE_CHECKING:
    from collections.abc import Sequence

AGE_MAX_MS: Final = LIFETIME_MS // 4


class OwnRecord:
    """Signs with the transport's key."""

    def __init__(self, seed: bytes, peer: str, network: bytes, roles: int) -> None:
        self._seed = seed
        self.key: Final = public_key_from_peer_id(peer)
        self._network = network
        self._roles = roles
        self._addresses: tuple[str, ...] = ()
        self._wire = b""
        self._made_ms = 0

    def __repr__(self) -> str:
        return "OwnRecord(masked)"

    def read(self, now_ms: int, addresses: Sequence[str]) -> bytes:
        """The record that says these addresses, in its newest form."""
        wanted = tuple(addresses)
        is_old = now_ms - self._made_ms >= AGE_MAX_MS
        if not self._wire or is_old or wanted != self._addresses:
            # Its number is the time it was made: two of one moment must not bear the same.
            self._made_ms = max(now_ms, self._made_ms + 1)
            self._addresses = wanted
            self._wire = sign_record(
                self._seed,
                self.key,
                network=self._network,
                now_ms=self._made_ms,
                roles=self._roles,
                addresses=wanted,
            )
        return self._wire
