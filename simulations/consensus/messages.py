"""What validators say to each other. Messages are shared by all who get them, and never changed."""

from __future__ import annotations

from dataclasses import dataclass

from dag.vertex import SignedVertex

BLOCK_BYTES = 300
REF_BYTES = 42


@dataclass(frozen=True, slots=True)
class Blocks:
    """Blocks, parents first; also what answers `Want`, and what is said again while all is still."""

    blocks: tuple[SignedVertex, ...]
    held: tuple[bytes, ...] = ()
    """The last block held of each author: whoever lacks one asks for it."""

    @property
    def size_bytes(self) -> int:
        """About what it takes on a wire."""
        parents = sum(len(signed.vertex.parents) for signed in self.blocks)
        refs = parents + len(self.held)
        return len(self.blocks) * BLOCK_BYTES + refs * REF_BYTES


@dataclass(frozen=True, slots=True)
class Want:
    """Send these blocks, with what is missing below them."""

    ids: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Ask:
    """Which of my own blocks is the last you hold?"""


@dataclass(frozen=True, slots=True)
class Answer:
    """The last block held of the author who asks, or none."""

    block: SignedVertex | None


Message = Blocks | Want | Ask | Answer
