"""Which replica holds how much of a prompt's prefix in its cache.

A prompt is cut into blocks; each block's digest covers all blocks before it, so one digest names
one whole prefix. Digests are salted per mesh, model and revision and cut to 64 bits: they say that
two prompts begin alike, nothing else, and not even that to another mesh. Queries that must not
tell that much carry no prefix.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

BLOCK_TOKENS = 512
BLOCK_BYTES = 2_048
"""A block where no tokenizer is at hand: four bytes are about a token."""
DIGESTS_MAX = 4_096
"""Digests remembered per replica, the newest ones."""
DIGEST_TTL_MS = 20 * 60 * 1_000
PREFIX_BLOCKS_MAX = 2_048
"""Blocks of one prompt that are digested: a million tokens."""


def make_salt(network: bytes, model: str, revision: str) -> bytes:
    """What keeps digests of different meshes, models and revisions apart."""
    parts = (network, model.encode(), revision.encode())
    framed = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return hashlib.sha256(b"meshnode/prefix/v1\x00" + framed).digest()


def digest_prefix(blocks: Iterable[bytes], salt: bytes) -> tuple[int, ...]:
    """The chained digests of a prompt's blocks, the shortest prefix first."""
    digests: list[int] = []
    chain = salt
    for block in blocks:
        if len(digests) == PREFIX_BLOCKS_MAX:
            break
        chain = hashlib.sha256(chain + block).digest()
        digests.append(int.from_bytes(chain[:8], "big"))
    return tuple(digests)


def cut_blocks(rendered: bytes) -> list[bytes]:
    """A rendered prompt in whole byte blocks; what is left over at its end is in none."""
    whole = min(len(rendered) // BLOCK_BYTES, PREFIX_BLOCKS_MAX)
    return [rendered[i * BLOCK_BYTES : (i + 1) * BLOCK_BYTES] for i in range(whole)]


class PrefixIndex:
    """Who holds which digest, as far as is known: bounded, and forgotten after 20 minutes.

    A digest maps to a bit mask of replicas, so following a prompt's chain costs one look-up a
    block however many replicas there are.
    """

    def __init__(self, *, digests_max: int = DIGESTS_MAX, ttl_ms: int = DIGEST_TTL_MS) -> None:
        self._digests_max = digests_max
        self._ttl_ms = ttl_ms
        self._bits: dict[str, int] = {}
        self._peers: list[str] = []
        """By bit; the bits of who was forgotten are free for others."""
        self._free: list[int] = []
        self._held: dict[str, dict[int, int]] = {}
        """Of each replica: digest to when it was last known held, oldest first."""
        self._masks: dict[int, int] = {}

    def add(self, peer: str, digests: Sequence[int], *, now_ms: int) -> None:
        """The replica holds these, newest last."""
        if peer not in self._bits:
            self._bits[peer] = self._take_bit(peer)
            self._held[peer] = {}
        bit = 1 << self._bits[peer]
        held = self._held[peer]
        for digest in digests[-self._digests_max :]:
            held.pop(digest, None)
            held[digest] = now_ms
            self._masks[digest] = self._masks.get(digest, 0) | bit
        self._expire(peer, now_ms)

    def remove(self, peer: str, digests: Iterable[int]) -> None:
        """The replica holds these no more."""
        held = self._held.get(peer, {})
        for digest in digests:
            if digest in held:
                self._drop(peer, digest)

    def replace(self, peer: str, digests: Sequence[int], *, now_ms: int) -> None:
        """The replica holds these and no others."""
        self.remove(peer, list(self._held.get(peer, {})))
        self.add(peer, digests, now_ms=now_ms)

    def forget(self, peer: str) -> None:
        """The replica is gone."""
        if peer in self._bits:
            self.remove(peer, list(self._held[peer]))
            del self._held[peer]
            self._free.append(self._bits.pop(peer))

    def find_depths(self, prefix: Sequence[int], *, now_ms: int) -> dict[str, int]:
        """How many leading blocks of a prompt each replica holds; those with none are left out."""
        for peer in self._held:
            self._expire(peer, now_ms)
        holders, depth = -1, 0
        depths: dict[str, int] = {}
        for digest in prefix:
            still = holders & self._masks.get(digest, 0)
            if still != holders:
                if depth:
                    self._name(holders & ~still, depth, depths)
                holders = still
                if not holders:
                    break
            depth += 1
        if depth and holders:
            self._name(holders, depth, depths)
        return depths

    def _name(self, bits: int, depth: int, depths: dict[str, int]) -> None:
        """Note that the replicas of these bits hold so many blocks and no more."""
        while bits:
            lowest = bits & -bits
            depths[self._peers[lowest.bit_length() - 1]] = depth
            bits ^= lowest

    def _take_bit(self, peer: str) -> int:
        if self._free:
            self._peers[self._free[-1]] = peer
            return self._free.pop()
        self._peers.append(peer)
        return len(self._peers) - 1

    def _expire(self, peer: str, now_ms: int) -> None:
        """Drop what is too old, and the oldest of what is too much."""
        held = self._held[peer]
        while held:
            digest = next(iter(held))
            if len(held) <= self._digests_max and now_ms - held[digest] < self._ttl_ms:
                return
            self._drop(peer, digest)

    def _drop(self, peer: str, digest: int) -> None:
        del self._held[peer][digest]
        mask = self._masks[digest] & ~(1 << self._bits[peer])
        if mask:
            self._masks[digest] = mask
        else:
            del self._masks[digest]
