"""Forks: telling the application, and publishing the evidence once."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from consensus.block import read_position
from dag.authors import Fork, is_first_profile
from dag.bodies import EVIDENCE_DECODER
from dag.canonical import encode
from dag.errors import InvalidMessage, MessageTooLarge
from dag.evidence import make_evidence, read_accused, verify_evidence
from dag.types import LANE_BLOCKS, Kind
from meshnode.core.chain import Publication
from meshnode.core.effects import LoadStored
from meshnode.core.events import ForkSeen
from meshnode.core.inputs import Loaded, Outcome

if TYPE_CHECKING:
    from consensus.block import Block
    from consensus.block_store import BlockStore
    from dag.identity import VerifiedVertex
    from dag.intake import Intake
    from dag.vertex import SignedVertex
    from meshnode.core.entropy import Entropy
    from meshnode.core.outbox import Outbox
    from meshnode.core.publishing import Publishing

SPREAD_MS: Final = 2_000
"""Evidence is published at a random moment within this, so that one peer does it for all."""
EARLY_MAX: Final = 512
"""Stored evidence remembered that came before the first profile of its accused."""


class Forks:
    """Authors that signed two vertices for one slot."""

    def __init__(
        self,
        author: bytes,
        intake: Intake,
        entropy: Entropy,
        outbox: Outbox,
        publishing: Publishing,
    ) -> None:
        self._author = author
        self._intake = intake
        self._entropy = entropy
        self._outbox = outbox
        self._publishing = publishing
        self._proved: dict[bytes, None] = {}
        self._early: dict[bytes, dict[bytes, VerifiedVertex]] = {}
        self._early_count = 0
        self._due: dict[bytes, tuple[int, Fork]] = {}

    def start(self, now_ms: int) -> None:
        """Go on with forks that were seen and not proved before the last stop."""
        for fork in self._intake.forks:
            self._plan(now_ms, fork)

    def on_fork(self, now_ms: int, fork: Fork) -> None:
        """An author's first fork was admitted."""
        self._tell(fork)
        self._plan(now_ms, fork)

    def on_block(self, now_ms: int, block: Block | None, store: BlockStore) -> None:
        """A block was accepted into a store of its epoch: perhaps its author has another there.

        Twins on two branches of a lane fork it further down, which is seen there, unless that part
        of one branch is so old that nobody has to hold it.
        """
        twins = () if block is None else store.get_slot(block.round, block.author)
        if len(twins) < 2:
            return
        author = store.committee.validators[twins[0].block.author].author
        first, second = (twin.block.ref for twin in twins[:2])
        entry = self._intake.index.get(first.id)
        assert entry is not None, "blocks above the floor are stored"
        fork = Fork(author, LANE_BLOCKS, entry.seq, first, second)
        if self._intake.mark_forked(fork):
            self.on_fork(now_ms, fork)

    def _tell(self, fork: Fork) -> None:
        self._outbox.emit(ForkSeen(fork.author, fork.lane, fork.seq, fork.first.id, fork.second.id))
        if fork.author == self._author:
            self._publishing.stop()

    def _plan(self, now_ms: int, fork: Fork) -> None:
        if fork.author != self._author and fork.author not in self._proved:
            wait_ms = int.from_bytes(self._entropy.draw()[:8], "big") % SPREAD_MS
            self._due[fork.author] = (now_ms + wait_ms, fork)

    def on_admitted(self, signed: VerifiedVertex) -> None:
        """A vertex is stored, or restored: perhaps evidence, or the profile that it waits for."""
        if signed.vertex.kind == Kind.EVIDENCE:
            self._on_evidence(signed)
        elif is_first_profile(signed.vertex):
            self._on_author(signed.vertex.author)

    def _on_evidence(self, signed: VerifiedVertex) -> None:
        """Evidence is stored: if it holds, nobody needs to publish it again."""
        try:
            evidence = EVIDENCE_DECODER.decode(signed.vertex.body)
            accused = read_accused(evidence)
            keys = self._intake.authors.get_keys(accused)
            if keys is None:
                self._keep(accused, signed)
                return
            if accused in self._proved:
                return
            authors = self._intake.authors
            proven = verify_evidence(keys, authors.suite, authors.network, evidence, read_position)
        except InvalidMessage:
            return  # a body that proves nothing is inert, like any body that does not decode
        self._proved[accused] = None
        self._intake.pin(signed.id)
        self._due.pop(accused, None)
        fork = Fork(accused, proven.lane, proven.seq, proven.first, proven.second)
        if self._intake.mark_forked(fork):
            self._tell(fork)

    def _keep(self, accused: bytes, signed: VerifiedVertex) -> None:
        if self._early_count < EARLY_MAX:
            self._early.setdefault(accused, {})[signed.id] = signed
            self._early_count += 1

    def _on_author(self, author: bytes) -> None:
        """An author became known: read the evidence about it that came before.

        Otherwise the order in which evidence and profile come would decide who counts as forked,
        and peers with equal stores would never agree on their digests.
        """
        early = self._early.pop(author, {})
        self._early_count -= len(early)
        for signed in early.values():
            self._on_evidence(signed)

    def tick(self, now_ms: int) -> None:
        """Publish evidence that nobody else has published."""
        for author, (due_ms, fork) in list(self._due.items()):
            if due_ms <= now_ms:
                del self._due[author]
                work = LoadStored((fork.first.id, fork.second.id))
                self._outbox.run(work, partial(self._on_loaded, author))

    def _on_loaded(self, author: bytes, now_ms: int, outcome: Outcome) -> None:
        assert isinstance(outcome, Loaded)
        # Either may have been pruned since: then evidence of it stands in the order for long.
        if author not in self._proved and len(outcome.vertices) == 2:
            first, second = outcome.vertices
            try:
                # Two blocks of one round prove by what they say, any two vertices by their slot.
                evidence = make_evidence(first, second, with_bodies=not _share_slot(first, second))
            except MessageTooLarge:
                return  # nothing fits that proves it; whoever holds both blocks has seen it
            self._publishing.say(now_ms, Publication(None, Kind.EVIDENCE, encode(evidence)))

    def next_deadline(self) -> int | None:
        """When `tick` has something to do."""
        if not self._due:
            return None
        return min(due_ms for due_ms, _ in self._due.values())


def _share_slot(first: SignedVertex, second: SignedVertex) -> bool:
    return (first.vertex.lane, first.vertex.seq) == (second.vertex.lane, second.vertex.seq)
