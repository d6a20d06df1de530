"""Nodes that have forgotten more than others count alike what a block covers: one view, one order.

A liar names side branches of speech, too much of it, long after it was said, old blocks as if somebody
had said them, and its own late blocks; everybody is told of them at other times. Some nodes forget
what lies below their floor at once, others keep everything.
"""

from __future__ import annotations

from random import Random

import pytest

from consensus import floor as floor_module
from consensus import validity
from consensus.block import count_block_parents
from consensus.leader import RoundRobin
from consensus.ordering import Inert, Ordering
from consensus.payload import PayloadOrder
from dag.identity import VerifiedVertex
from dag.index import Index
from dag.order import Commit
from dag.types import LANE_BLOCKS, LANE_SPEECH, Ref
from tests.support.block_dag import BlockDag

LIAR = 0
HONEST = (1, 2, 3)
COVERED_MAX = 3
ROUNDS = 60


class Node:
    """A store and an order; it takes parents first, and what it needs of what it has forgotten."""

    def __init__(self, dag: BlockDag, *, prunes: bool) -> None:
        self.index = Index(count_block_parents)
        self.ordering = Ordering(
            dag.network,
            dag.committee,
            RoundRobin(dag.committee),
            index=self.index,
            payload=PayloadOrder(self.index, gc_commits=6),
            gc_depth=3,
        )
        self._prunes = prunes
        self.commits: list[Commit] = []
        self.rules: dict[str, int] = {}
        self.forgotten = 0

    def give(
        self, signed: VerifiedVertex, all_: dict[bytes, VerifiedVertex], *, needed: bool = False
    ) -> None:
        """Deliver a vertex and what it stands on."""
        index = self.index
        if signed.id in index or (index.is_below(signed.vertex) and not needed):
            return
        for ref in index.find_missing(signed.vertex):
            self.give(all_[ref.id], all_, needed=True)
        index.add(signed)
        if signed.vertex.lane == LANE_BLOCKS:
            verdict = self.ordering.add(signed)
            if isinstance(verdict, Inert):
                self.rules[verdict.error.rule] = self.rules.get(verdict.error.rule, 0) + 1
            self.commits += [commit for _, commit in self.ordering.advance() if commit]
            if self._prunes:
                index.advance_horizon(self.ordering.prunable)
                self.forgotten += len(index.prune(self.ordering.prunable))

    def view(self, blocks: dict[bytes, VerifiedVertex]) -> list[tuple[bytes, str]]:
        """What becomes of every block that may still be put out."""
        store, horizon = self.ordering.store, self.ordering.horizon
        return [
            (id_, "held" if store.get(id_) else "inert" if store.is_inert(id_) else "gone")
            for id_, signed in sorted(blocks.items())
            if signed.vertex.lamport > self.ordering.floor.lamport
            and (block := store.get(id_)) is not None
            and block.round > horizon
        ]


class World:
    """Honest authors build on what the node ahead accepts; the liar carries what it likes."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.dag = BlockDag(4)
        self.ahead = Node(self.dag, prunes=True)
        self.all: dict[bytes, VerifiedVertex] = {}
        self.blocks: dict[bytes, VerifiedVertex] = {}
        self.lies: list[tuple[int, VerifiedVertex]] = []
        self.row: list[VerifiedVertex] = []
        self.left: list[Ref] = []
        """Said, and not named by an honest block that was made since."""

    def learn(self) -> None:
        for signed in self.dag.builder.vertices:
            self.all[signed.id] = signed

    def play(self, round_: int, *, is_lying: bool) -> None:
        self._speak()
        lies = [self._lie(round_) for _ in range(self.random.randrange(3) if is_lying else 0)]
        row = [self._build(author, round_) for author in HONEST]
        self.row = row
        for signed in (*lies, *row):
            self.ahead.give(signed, self.all)

    def _speak(self) -> None:
        said = [s for s in self.dag.builder.vertices if s.vertex.lane == LANE_SPEECH]
        for _ in range(self.random.randrange(7)):
            over = self.random.sample(said[-12:], min(len(said), 1))
            parents = [signed.ref for signed in over] if self.random.randrange(2) else []
            self.left.append(self.dag.note(self.random.randrange(4), parents).ref)
        self.learn()

    def _build(self, author: int, round_: int) -> VerifiedVertex:
        person = self.dag.builder.people[author].author
        own = [signed for signed in self.row if signed.vertex.author == person]
        others = [signed for signed in self.row if signed not in own]
        store, ordering = self.ahead.ordering.store, self.ahead.ordering
        fit = [lie for at, lie in self.lies[-9:] if at < round_ and store.get(lie.id)]
        parents = [*own, *others, *(fit[-1:] if round_ > 1 else ())]
        payload: list[Ref] = []
        for ref in self.left[:3]:
            self.ahead.give(self.all[ref.id], self.all)
            refs = [parent.ref for parent in parents]
            if len(ordering.collect_covered([*payload, ref], round_, refs)) <= COVERED_MAX:
                payload.append(ref)
                self.left.remove(ref)
        return self._keep(self.dag.block(author, round_, parents, payload=payload))

    def _lie(self, round_: int) -> VerifiedVertex:
        random = self.random
        below = [signed for signed in self.row if random.randrange(12)]
        held = [item for item in self.lies if self.ahead.ordering.store.get(item[1].id)]
        own = held[-1:] if random.randrange(6) else random.sample(self.lies, bool(self.lies))
        claimed = random.choice([round_, round_, max(1, round_ - 1)])
        previous = min(own[0][0], claimed - 1) if own else 0
        said = [s.ref for s in self.dag.builder.vertices if s.vertex.lane == LANE_SPEECH]
        payload = random.sample(said[-30:], min(len(said), random.randrange(6)))
        if self.blocks and not random.randrange(4):
            payload.append(random.choice([*self.blocks.values()][-30:]).ref)
        refs = {signed.ref for _, signed in own} | {signed.ref for signed in below}
        signed = self.dag.block(
            LIAR,
            claimed,
            [*([own[0][1]] if own and previous else ()), *below],
            payload=[ref for ref in payload if ref not in refs],
            previous_round=previous,
            seq=len(self.lies) if previous else 0,
            time_ms=random.randrange(10**6),
        )
        self.lies.append((claimed, signed))
        return self._keep(signed)

    def _keep(self, signed: VerifiedVertex) -> VerifiedVertex:
        self.all[signed.id] = self.blocks[signed.id] = signed
        return signed


def play(seed: int) -> World:
    world = World(seed)
    archive, late = Node(world.dag, prunes=False), Node(world.dag, prunes=True)
    last = Node(world.dag, prunes=True)
    liar = world.dag.builder.people[LIAR].author
    waiting: list[tuple[int, VerifiedVertex]] = []
    for round_ in range(1, ROUNDS):
        before = len(world.blocks)
        world.play(round_, is_lying=round_ < ROUNDS - 12)
        for signed in list(world.blocks.values())[before:]:
            is_lie = signed.vertex.author == liar
            delay = world.random.choice([0, 3, 8, 20]) if is_lie else world.random.randrange(3)
            waiting.append((round_ + delay, signed))
        for node in (archive, late):
            for due, signed in waiting:
                if due <= round_:
                    node.give(signed, world.all)
        waiting = [item for item in waiting if item[0] > round_]
    nodes = (world.ahead, archive, late, last)
    for signed in world.random.sample(list(world.blocks.values()), len(world.blocks)):
        for node in nodes:
            node.give(signed, world.all)
    assert world.ahead.ordering.floor.round > ROUNDS // 2
    for node in nodes[1:]:
        assert node.commits == world.ahead.commits
        assert node.ordering.freeze() == world.ahead.ordering.freeze()
        assert node.view(world.blocks) == world.ahead.view(world.blocks)
    assert world.ahead.forgotten > 50
    return world


def test_nodes_that_have_forgotten_count_like_those_that_keep(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(floor_module, "RETAINED_ROUNDS", 4)
    monkeypatch.setattr(validity, "COVERED_COUNT_MAX", COVERED_MAX)
    rules: dict[str, int] = {}
    for seed in (*range(8), 39, 54):  # the last two tell a count against all of history from this
        for rule, count in play(seed).ahead.rules.items():
            rules[rule] = rules.get(rule, 0) + count
    assert rules["coverage"] > 10
    assert rules["payload"] > 10
