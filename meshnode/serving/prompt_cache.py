"""The beginnings of prompts that an engine has read lately, as digests that peers may ask for.

An engine that still has a prompt's beginning in its memory answers a question that begins alike
sooner. Digests are salted per mesh, and tell nothing but that two prompts begin alike; a question
that must not tell that much is not remembered at all.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from meshnode.routing.affinity import DIGEST_TTL_MS, cut_blocks, digest_prefix, make_salt
from meshnode.serving.protocol import BLOCK_BYTES, BLOCKS_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping


def render_prompt(request: Mapping[str, Any]) -> bytes:
    """The bytes of a request that an engine reads first to last: tools, then message by message.

    A conversation that goes on begins with the bytes of what it was before.
    """
    messages = request.get("messages")
    parts = [request.get("tools"), *(messages if isinstance(messages, list) else [])]
    try:
        return b"\n".join(msgspec.json.encode(part, order="sorted") for part in parts)
    except (TypeError, ValueError, RecursionError):
        return b""


def digest_prompt(
    request: Mapping[str, Any], *, network: bytes, model: str, revision: str
) -> tuple[int, ...]:
    """The digests of a request's whole blocks, the shortest beginning first."""
    return digest_prefix(cut_blocks(render_prompt(request)), make_salt(network, model, revision))


class PromptCache:
    """The newest digests, each with the generation in which it was last seen."""

    def __init__(self, *, blocks_max: int = BLOCKS_MAX, ttl_ms: int = DIGEST_TTL_MS) -> None:
        self._blocks_max = blocks_max
        self._ttl_ms = ttl_ms
        self._seen: dict[int, tuple[int, int]] = {}
        """By digest, the generation and the time, oldest first."""
        self._generation = 0

    @property
    def generation(self) -> int:
        """Grows with every prompt that is remembered."""
        return self._generation

    def add(self, digests: tuple[int, ...], *, now_ms: int) -> None:
        """A prompt with these digests was read."""
        if not digests:
            return
        self._generation += 1
        for digest in digests[: self._blocks_max]:
            self._seen.pop(digest, None)
            self._seen[digest] = (self._generation, now_ms)
        self._expire(now_ms)

    def count_held(self, digests: tuple[int, ...], *, now_ms: int) -> int:
        """How many leading blocks of a prompt are remembered."""
        self._expire(now_ms)
        return next((i for i, each in enumerate(digests) if each not in self._seen), len(digests))

    def read_since(self, generation: int, *, now_ms: int) -> tuple[bool, bytes]:
        """What is new since a generation; all, and True, where that generation is not known.

        Who asks forgets the oldest by the same rule, so nothing tells it what is held no more.
        """
        self._expire(now_ms)
        complete = not 0 < generation <= self._generation
        since = 0 if complete else generation
        blocks = [digest for digest, (seen, _) in self._seen.items() if seen > since]
        return complete, b"".join(digest.to_bytes(BLOCK_BYTES, "big") for digest in blocks)

    def _expire(self, now_ms: int) -> None:
        surplus = max(0, len(self._seen) - self._blocks_max)
        old = list(islice(self._seen, surplus))
        for digest, (_, seen_ms) in islice(self._seen.items(), surplus, None):
            if now_ms - seen_ms < self._ttl_ms:
                break
            old.append(digest)
        for digest in old:
            del self._seen[digest]


def read_blocks(blocks: bytes) -> tuple[int, ...]:
    """The digests in a report, the oldest first."""
    return tuple(
        int.from_bytes(blocks[start : start + BLOCK_BYTES], "big")
        for start in range(0, len(blocks), BLOCK_BYTES)
    )
