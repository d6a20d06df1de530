"""Vertices that stay whatever their age: who may speak, who has forked, and where each author ended.

It is folded over the order, so every node names the same ones after a commit. A newcomer that
begins from a snapshot fetches those at or below its floor by name; it could not check what comes
later without them. An author goes on from its last vertex, so somebody must still know it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from consensus.block import read_position
from dag.authors import is_first_profile
from dag.bodies import EVIDENCE_DECODER
from dag.canonical import CanonicalDecoder, encode
from dag.errors import InvalidMessage
from dag.evidence import read_accused, verify_evidence
from dag.types import Kind, Ref
from meshnode.core.last_words import LastWord, follow

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dag.authors import AuthorRegistry
    from dag.vertex import SignedVertex

PINNED_BYTES_MAX: Final = 64_000_000
PINNED_PIECE: Final = "pinned"
"""Its name in a snapshot."""


class Proof(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The first evidence put out that proves a fork of an author."""

    accused: bytes
    ref: Ref


class PinnedState(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What is pinned after a commit; everything ascends."""

    profiles: tuple[Ref, ...] = ()
    """First profiles."""
    evidence: tuple[Proof, ...] = ()
    last: tuple[LastWord, ...] = ()


_decoder: Final = CanonicalDecoder(PinnedState, what="pinned vertices", bytes_max=PINNED_BYTES_MAX)


def decode_pinned(data: bytes) -> PinnedState:
    """Read what a snapshot pins. Raises `MalformedMessage` or `MessageTooLarge`."""
    return _decoder.decode(data)


def list_pinned(state: PinnedState, speech_lamport: int) -> tuple[Ref, ...]:
    """What a newcomer has to fetch by name: all that is pinned up to a lamport, ascending."""
    named = dict.fromkeys(
        (
            *state.profiles,
            *(proof.ref for proof in state.evidence),
            *(word.ref for word in state.last),
        )
    )
    return tuple(sorted(ref for ref in named if ref.lamport <= speech_lamport))


class PinnedVertices:
    """Follows the commits."""

    def __init__(self, authors: AuthorRegistry, start: PinnedState | None = None) -> None:
        start = start or PinnedState()
        self._authors = authors
        self._profiles: dict[bytes, Ref] = {ref.id: ref for ref in start.profiles}
        self._evidence: dict[bytes, Ref] = {proof.accused: proof.ref for proof in start.evidence}
        self._last: dict[bytes, LastWord] = {word.author: word for word in start.last}

    def apply(self, vertices: Iterable[SignedVertex]) -> None:
        """Follow one commit by its lane-0 vertices, in order. Never raises."""
        for signed in vertices:
            vertex = signed.vertex
            if is_first_profile(vertex):
                self._profiles[signed.id] = signed.ref
            elif vertex.kind == Kind.EVIDENCE:
                self._take_evidence(signed)
            self._last[vertex.author] = follow(self._last.get(vertex.author), signed)

    def _take_evidence(self, signed: SignedVertex) -> None:
        """Pin the first evidence about an author, if it holds.

        The accused must be known from the order, or from genesis: then every node has its keys.
        """
        authors = self._authors
        try:
            evidence = EVIDENCE_DECODER.decode(signed.vertex.body)
            accused = read_accused(evidence)
            record = authors.get(accused)
            if accused in self._evidence or record is None:
                return
            if not record.founder and accused not in self._last:
                return
            verify_evidence(record.keys, authors.suite, authors.network, evidence, read_position)
        except InvalidMessage:
            return  # it proves nothing
        self._evidence[accused] = signed.ref

    def freeze(self) -> PinnedState:
        """What is pinned by now."""
        return PinnedState(
            tuple(sorted(self._profiles.values())),
            tuple(Proof(accused, ref) for accused, ref in sorted(self._evidence.items())),
            tuple(word for _, word in sorted(self._last.items())),
        )

    def snapshot(self) -> bytes:
        """The canonical bytes of what is pinned by now."""
        return encode(self.freeze())
