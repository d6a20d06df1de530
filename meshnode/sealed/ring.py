"""Own pairs of keys over time: the one that profiles name, and those before it for a while.

A pair that was replaced still opens what is sealed to it, for news of the next one takes time to
spread and nodes are away. When its grace is over it is erased. From then on nobody can open what was
recorded under it, whatever is stolen: this is all that forward secrecy of questions rests on.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from dag.keys import MLKEM768_EXPANDED_BYTES, X25519_KEY_BYTES
from meshnode.sealed.keys import SealingKeys, SealingSecrets, derive_sealing_keys

PAIRS_MAX: Final = 16
"""The current one and those that are in their grace; with more, the oldest go early."""

_Time = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Pair(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One pair of secrets and its time."""

    x25519_seed: Annotated[
        bytes, msgspec.Meta(min_length=X25519_KEY_BYTES, max_length=X25519_KEY_BYTES)
    ]
    mlkem768_secret: Annotated[bytes, msgspec.Meta(max_length=MLKEM768_EXPANDED_BYTES)]
    created_ms: _Time
    retired_ms: _Time = 0
    """When the next one took its place; 0 for the current one."""

    def __repr__(self) -> str:
        return f"Pair(created_ms={self.created_ms}, retired_ms={self.retired_ms}, masked)"

    @property
    def secrets(self) -> SealingSecrets:
        """What opens."""
        return SealingSecrets(self.x25519_seed, self.mlkem768_secret)


def make_ring(secrets: SealingSecrets, now_ms: int) -> KeyRing:
    """A ring of one pair."""
    return KeyRing((Pair(secrets.x25519_seed, secrets.mlkem768_secret, now_ms),))


class KeyRing:
    """Pairs, the current one first. Never changes: what rotates or forgets is a new one."""

    def __init__(self, pairs: tuple[Pair, ...]) -> None:
        assert pairs, "a ring has a current pair"
        self._pairs = pairs
        self._keys = tuple(derive_sealing_keys(pair.secrets) for pair in pairs)
        self._by_id = {
            keys.id: (pair.secrets, keys)
            for pair, keys in zip(pairs, self._keys, strict=True)
            if keys is not None
        }

    def __repr__(self) -> str:
        return f"KeyRing({len(self._pairs)} pairs)"

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """All pairs, the current one first."""
        return self._pairs

    @property
    def current(self) -> Pair:
        """What profiles are to name."""
        return self._pairs[0]

    @property
    def current_keys(self) -> SealingKeys | None:
        """Its public side; None where no library here can use it."""
        return self._keys[0]

    def find(self, key_id: bytes) -> tuple[SealingSecrets, SealingKeys] | None:
        """The pair of this id, current or in its grace."""
        return self._by_id.get(key_id)

    def rotate(self, secrets: SealingSecrets, now_ms: int) -> KeyRing:
        """With a new current pair; the one before begins its grace."""
        fresh = Pair(secrets.x25519_seed, secrets.mlkem768_secret, now_ms)
        retired = msgspec.structs.replace(self.current, retired_ms=max(1, now_ms))
        return KeyRing((fresh, retired, *self._pairs[1:])[:PAIRS_MAX])

    def forget(self, now_ms: int, grace_ms: int) -> KeyRing:
        """Without the pairs whose grace is over; the same ring where there are none."""
        kept = tuple(
            pair
            for pair in self._pairs
            if not pair.retired_ms or now_ms < pair.retired_ms + grace_ms
        )
        return self if len(kept) == len(self._pairs) else KeyRing(kept)
