"""The commit rule and the order, word for word from their definition: slow, recursive, whole.

Written apart from the package: it holds nothing between questions, looks at all blocks each time,
and counts authors in sets. The package must agree with it on every lattice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

from consensus.block import Block
from consensus.committee import Committee

Leaders = Callable[[int], tuple[int, ...]]
Slot = tuple[int, int]
Outcome = tuple[str, bytes | None]
"""('commit', id), ('skip', None) or ('undecided', None)."""


class NaiveConsensus:
    """Decides a finished set of blocks. `slot_form` takes the other published skip rule."""

    def __init__(
        self,
        committee: Committee,
        blocks: Sequence[Block],
        leaders: Leaders,
        *,
        slot_form: bool = False,
    ) -> None:
        self.committee = committee
        self.limits = committee.thresholds
        self.blocks = {block.id: block for block in blocks}
        self.leaders = leaders
        self.slot_form = slot_form
        self.highest = max((block.round for block in blocks), default=0)
        self.slots = [
            (round_, offset)
            for round_ in range(1, self.highest)
            for offset in range(len(leaders(round_)))
        ]
        self.decide = cache(self._decide)
        self.history = cache(self._history)

    def outcomes(self) -> dict[Slot, Outcome]:
        return {slot: self.decide(slot) for slot in self.slots}

    def sequence(self) -> list[tuple[Slot, Outcome]]:
        prefix: list[tuple[Slot, Outcome]] = []
        for slot in self.slots:
            if self.decide(slot)[0] == "undecided":
                break
            prefix.append((slot, self.decide(slot)))
        return prefix

    def output(self, gc_depth: int | None = None) -> list[tuple[bytes, list[bytes]]]:
        """Each committed leader with what it puts out."""
        done: list[tuple[bytes, list[bytes]]] = []
        seen: set[bytes] = set()
        taken: set[tuple[int, int]] = set()
        horizon = 0
        for _, (status, leader) in self.sequence():
            if status != "commit" or leader is None:
                continue
            new = [
                self.blocks[id_]
                for id_ in self.history(leader)
                if id_ not in seen and self.blocks[id_].round > horizon
            ]
            out: list[bytes] = []
            for block in sorted(new, key=lambda b: (b.round, b.author, b.id)):
                seen.add(block.id)
                if (block.round, block.author) not in taken:
                    taken.add((block.round, block.author))
                    out.append(block.id)
            done.append((leader, out))
            if gc_depth is not None:
                horizon = max(0, self.blocks[leader].round - gc_depth)
        return done

    def _stake(self, authors: set[int]) -> int:
        return sum(self.committee.get_stake(author) for author in authors)

    def _in_slot(self, round_: int, author: int) -> list[Block]:
        found = [b for b in self.blocks.values() if (b.round, b.author) == (round_, author)]
        return sorted(found, key=lambda b: b.id)

    def _in_round(self, round_: int) -> list[Block]:
        return [b for b in self.blocks.values() if b.round == round_]

    def _votes(self, voter: Block, leader: Block) -> bool:
        return voter.round == leader.round + 1 and leader.ref in voter.parents

    def _certifies(self, block: Block, leader: Block) -> bool:
        if self.limits.wave == 2:
            return self._votes(block, leader)
        parents = [self.blocks[ref.id] for ref in block.parents if ref.id in self.blocks]
        authors = {parent.author for parent in parents if self._votes(parent, leader)}
        return self._stake(authors) >= self.limits.certificate

    def _history(self, id_: bytes) -> frozenset[bytes]:
        found = {id_}
        for ref in self.blocks[id_].parents:
            if ref.id in self.blocks:
                found |= self.history(ref.id)
        return frozenset(found)

    def _is_skipped(self, round_: int, author: int) -> bool:
        voters = self._in_round(round_ + 1)
        known = self._in_slot(round_, author)
        if self.slot_form or not known:
            blamers = {v.author for v in voters if not any(self._votes(v, b) for b in known)}
            return self._stake(blamers) >= self.limits.skip
        return all(
            self._stake({v.author for v in voters if not self._votes(v, block)}) >= self.limits.skip
            for block in known
        )

    def _decide(self, slot: Slot) -> Outcome:
        round_, offset = slot
        author = self.leaders(round_)[offset]
        decision_round = round_ + self.limits.wave - 1
        if self._is_skipped(round_, author):
            return "skip", None
        for block in self._in_slot(round_, author):
            certifiers = {
                c.author for c in self._in_round(decision_round) if self._certifies(c, block)
            }
            if self._stake(certifiers) >= self.limits.commit:
                return "commit", block.id
        for later in self.slots:
            if later <= slot or later[0] <= decision_round:
                continue
            status, anchor = self.decide(later)
            if status == "skip":
                continue
            if status == "undecided" or anchor is None:
                return "undecided", None
            return self._by_anchor(round_, author, decision_round, anchor)
        return "undecided", None

    def _by_anchor(self, round_: int, author: int, decision_round: int, anchor: bytes) -> Outcome:
        history = [self.blocks[id_] for id_ in self.history(anchor)]
        passing = []
        for block in self._in_slot(round_, author):
            authors = {
                c.author for c in history if c.round == decision_round and self._certifies(c, block)
            }
            if self._stake(authors) >= self.limits.link:
                passing.append(block.id)
        if len(passing) == 1 or (passing and self.limits.tie == "least"):
            return "commit", passing[0]
        return "skip", None
