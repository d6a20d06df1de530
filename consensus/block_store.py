"""The lattice of blocks of one epoch: slots, twins, support and reachability.

Support is kept while blocks arrive, so that a block costs one look at each of its parents and a
slot is decided from a few integers. A slot is (round, author); two blocks in one slot are twins.
Everything here is a function of the set of blocks held, whatever the order they came in.
"""

from __future__ import annotations

import heapq
from bisect import insort
from collections.abc import Sequence
from typing import Final

from consensus.block import GENESIS_ROUND, Block
from consensus.committee import Committee, iterate_bits
from dag.types import COUNTER_MAX, Ref


class Node:
    """A block with who supports it. Authors are bits."""

    __slots__ = ("bit", "block", "certifiers", "link_authors", "links", "scanned", "voters")

    def __init__(self, block: Block) -> None:
        self.block: Final = block
        self.bit: Final = 1 << block.author
        self.links: tuple[Node, ...] = ()
        """Parents of the round below, in the order the block names them."""
        self.link_authors = 0
        self.voters = 0
        """Authors of blocks of the next round that have it as a parent."""
        self.certifiers = 0
        """Authors of certificates for it, among the `scanned` first blocks of their round."""
        self.scanned = 0

    def votes_for(self, candidate: Node) -> bool:
        """Whether its first parent in the candidate's slot is the candidate."""
        for link in self.links:
            if link.bit == candidate.bit:
                return link is candidate
        return False


class _Round:
    """The blocks of one round."""

    __slots__ = ("authors", "nodes", "slots", "twins")

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.slots: dict[int, list[Node]] = {}
        self.authors = 0
        self.twins = 0
        """Authors with more than one block."""


_EMPTY_ROUND: Final = _Round()


class BlockStore:
    """Valid blocks above a floor, and the ids of vertices that broke a rule."""

    def __init__(
        self,
        committee: Committee,
        *,
        floor: int = GENESIS_ROUND,
        floor_lamport: int = 0,
        speech_lamport: int = 0,
        epoch_lamport: int = 0,
    ) -> None:
        """`epoch_lamport` is that of the floor when the epoch began."""
        self._committee = committee
        self._nodes: dict[bytes, Node] = {}
        self._rounds: dict[int, _Round] = {}
        self._inert: dict[bytes, tuple[int, int]] = {}
        """Vertices that broke a rule, with lamport and round."""
        self._gone: dict[bytes, int] = {}
        """Blocks at or below the floor whose lamport is above its."""
        self._gone_order: list[tuple[int, bytes]] = []
        """The same as a heap: there may be many, and each commit lets only a few go."""
        self._floor = floor
        self._floor_lamport = floor_lamport
        self._speech_lamport = speech_lamport
        self._epoch_lamport = epoch_lamport
        self._highest_round = floor

    def __len__(self) -> int:
        return len(self._nodes)

    @property
    def committee(self) -> Committee:
        """Whose blocks these are."""
        return self._committee

    @property
    def floor(self) -> int:
        """Blocks of this round and below are not held; as parents they count as present."""
        return self._floor

    @property
    def floor_lamport(self) -> int:
        """Blocks of this lamport and below count as present: see `consensus.floor`."""
        return self._floor_lamport

    @property
    def speech_lamport(self) -> int:
        """Lane-0 vertices of this lamport and below do: nothing puts them out any more."""
        return self._speech_lamport

    @property
    def epoch_lamport(self) -> int:
        """Every block of this epoch has a higher lamport: what is below was put away before."""
        return self._epoch_lamport

    @property
    def highest_round(self) -> int:
        """The highest round held, the floor if there is none."""
        return self._highest_round

    def get(self, block_id: bytes) -> Block | None:
        """The block of an id."""
        node = self._nodes.get(block_id)
        return None if node is None else node.block

    def find(self, ref: Ref) -> Block | None:
        """The block that a reference names.

        None also where the reference gives another lamport than the block has: below the floor that
        is not checked by anybody, so what it leads to must not depend on who holds the block.
        """
        node = self._nodes.get(ref.id)
        return None if node is None or node.block.ref.lamport != ref.lamport else node.block

    def get_node(self, block_id: bytes) -> Node | None:
        """The block of an id, with its support."""
        return self._nodes.get(block_id)

    def get_slot(self, round_: int, author: int) -> Sequence[Node]:
        """The blocks of a slot, ids ascending; more than one are twins."""
        return self._rounds.get(round_, _EMPTY_ROUND).slots.get(author, ())

    def get_authors(self, round_: int) -> int:
        """Who has a block in a round."""
        return self._rounds.get(round_, _EMPTY_ROUND).authors

    def get_round(self, round_: int) -> tuple[Block, ...]:
        """The blocks of a round by (author, id)."""
        slots = self._rounds.get(round_, _EMPTY_ROUND).slots
        return tuple(node.block for author in sorted(slots) for node in slots[author])

    def is_inert(self, vertex_id: bytes) -> bool:
        """Whether a lane-1 vertex broke a rule."""
        return vertex_id in self._inert

    def is_below_floor(self, ref: Ref) -> bool:
        """Whether a block that is not held counts as present."""
        return ref.lamport <= self._floor_lamport or self._gone.get(ref.id) == ref.lamport

    def mark_inert(self, ref: Ref, round_: int = COUNTER_MAX) -> None:
        """Remember a vertex that broke a rule: blocks built on it break one too.

        `round_` is that of a block which broke a rule of ancestors.
        """
        self._inert[ref.id] = ref.lamport, round_

    def unmark_inert(self, block_id: bytes) -> None:
        """Forget that a block broke a rule: it is to be judged again."""
        self._inert.pop(block_id, None)

    def add(self, block: Block) -> Node | None:
        """Take in a valid block whose parents are held or below the floor; None if it is below.

        A block is taken once; the caller has checked that.
        """
        assert block.id not in self._nodes, "a block is added once"
        if block.round <= self._floor:
            self._mark_gone(block.id, block.ref.lamport)
            return None
        node = Node(block)
        self._link(node)
        self._nodes[block.id] = node
        self._place(node)
        return node

    def _link(self, node: Node) -> None:
        block, nodes = node.block, self._nodes
        below = block.round - 1
        links: list[Node] = []
        authors = 0
        for ref in block.parents:
            parent = nodes.get(ref.id)
            if parent is None or parent.block.round != below:
                continue
            if parent.block.ref.lamport != ref.lamport:
                continue  # see `find`
            links.append(parent)
            # Valid blocks have one parent per author; of more, the first is the vote.
            if not authors & parent.bit:
                authors |= parent.bit
                parent.voters |= node.bit
        node.links = tuple(links)
        node.link_authors = authors

    def _place(self, node: Node) -> None:
        block = node.block
        row = self._rounds.get(block.round)
        if row is None:
            row = self._rounds[block.round] = _Round()
            self._highest_round = max(self._highest_round, block.round)
        slot = row.slots.setdefault(block.author, [])
        if slot:
            row.twins |= node.bit
        insort(slot, node, key=_get_id)
        row.nodes.append(node)
        row.authors |= node.bit

    def collect_blamers(self, candidate: Node) -> int:
        """Authors that have a block of the next round which does not vote for a candidate."""
        row = self._rounds.get(candidate.block.round + 1, _EMPTY_ROUND)
        blamers = row.authors & ~candidate.voters
        for author in iterate_bits(row.twins & candidate.voters):
            if not all(node.votes_for(candidate) for node in row.slots[author]):
                blamers |= 1 << author
        return blamers

    def is_certificate(self, node: Node, candidate: Node) -> bool:
        """Whether one block's own parents hold a certificate's stake of votes for a candidate."""
        voters = node.link_authors & candidate.voters
        limit = self._committee.thresholds.certificate
        if self._committee.weigh(voters) < limit:
            return False
        twins = self._rounds[candidate.block.round + 1].twins & voters
        if not twins:
            return True
        voters &= ~twins
        for link in node.links:
            if link.bit & twins and link.votes_for(candidate):
                voters |= link.bit
        return self._committee.weigh(voters) >= limit

    def collect_certifiers(self, candidate: Node) -> int:
        """Authors of certificates for a candidate; looks at each block of the round once."""
        if self._committee.thresholds.wave == 2:
            return candidate.voters
        row = self._rounds.get(candidate.block.round + 2, _EMPTY_ROUND)
        while candidate.scanned < len(row.nodes):
            node = row.nodes[candidate.scanned]
            candidate.scanned += 1
            if self.is_certificate(node, candidate):
                candidate.certifiers |= node.bit
        return candidate.certifiers

    def certifies(self, node: Node, candidate: Node) -> bool:
        """Whether a block of the decision round is a certificate; at wave 2 a vote is one."""
        if self._committee.thresholds.wave == 2:
            return node.votes_for(candidate)
        return self.is_certificate(node, candidate)

    def collect_history(self, anchor: Node, round_: int) -> list[Node]:
        """The blocks of a round in the history of a later block, in no order that matters."""
        found: list[Node] = []
        seen = {anchor.block.id: None}
        stack = [anchor]
        while stack:
            for ref in stack.pop().block.parents:
                node = self._nodes.get(ref.id)
                if node is None or node.block.round < round_ or ref.id in seen:
                    continue
                if node.block.ref.lamport != ref.lamport:
                    continue  # see `find`
                seen[ref.id] = None
                if node.block.round == round_:
                    found.append(node)
                else:
                    stack.append(node)
        return found

    def prune(self, round_: int, lamport: int = 0, speech_lamport: int = 0) -> None:
        """Raise the floor: blocks of this round and below are forgotten, and count as present.

        From now on what is named as a block of this lamport or below counts as present, whatever it
        is, and so does what is named as speech of that other lamport or below.
        """
        self._speech_lamport = max(self._speech_lamport, speech_lamport)
        self._floor = max(self._floor, round_)
        self._floor_lamport = max(self._floor_lamport, lamport)
        for gone in [gone for gone in self._rounds if gone <= self._floor]:
            for node in self._rounds.pop(gone).nodes:
                del self._nodes[node.block.id]
                self._mark_gone(node.block.id, node.block.ref.lamport)
        # Votes point down only, so this cuts the last way from the blocks held to those forgotten.
        for node in self._rounds.get(self._floor + 1, _EMPTY_ROUND).nodes:
            node.links = ()
        self._highest_round = max(self._highest_round, self._floor)
        self._sort_inert()
        order = self._gone_order
        while order and order[0][0] <= self._floor_lamport:
            del self._gone[heapq.heappop(order)[1]]

    def _mark_gone(self, block_id: bytes, lamport: int) -> None:
        if lamport > self._floor_lamport and block_id not in self._gone:
            self._gone[block_id] = lamport
            heapq.heappush(self._gone_order, (lamport, block_id))

    def _sort_inert(self) -> None:
        """What is inert and below the floor now counts as present, like all that is there."""
        inert, self._inert = self._inert, {}
        for key, (lamport, round_) in inert.items():
            if round_ <= self._floor:
                self._mark_gone(key, lamport)
            elif lamport > self._floor_lamport:
                self._inert[key] = lamport, round_


def _get_id(node: Node) -> bytes:
    return node.block.id
