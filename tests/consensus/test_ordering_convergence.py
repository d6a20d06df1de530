"""A liar's blocks reach nodes whose floors differ: all come to one view and one order.

The liar names parents below the floor of some and above that of others: broken ones, doubled ones,
ones that are no blocks. What one node has to refuse and another has forgotten must not part them.
"""

from __future__ import annotations

from random import Random

import pytest

from consensus import floor as floor_module
from consensus.block import Block
from consensus.leader import RoundRobin
from consensus.ordering import Inert, Ordering
from consensus.payload import PayloadOrder
from dag.identity import VerifiedVertex
from dag.order import Commit
from dag.types import LANE_BLOCKS
from tests.support.block_dag import BlockDag

LIAR = 0
HONEST = (1, 2, 3)


class Node:
    """One ordering, fed parents first."""

    def __init__(self, dag: BlockDag) -> None:
        self.dag = dag
        self.released: list[Block] = []
        self.ordering = Ordering(
            dag.network,
            dag.committee,
            RoundRobin(dag.committee),
            index=dag.index,
            payload=PayloadOrder(dag.index, gc_commits=2),
            gc_depth=3,
            on_released=self.released.append,
        )
        self.known: dict[bytes, None] = {}
        self.commits: list[Commit] = []

    def give(self, signed: VerifiedVertex, all_: dict[bytes, VerifiedVertex]) -> None:
        """Deliver a vertex and what it stands on."""
        if signed.id in self.known:
            return
        self.known[signed.id] = None
        for ref in signed.vertex.parents:
            if ref.id in all_:
                self.give(all_[ref.id], all_)
        if signed.vertex.lane == LANE_BLOCKS:
            self.ordering.add(signed)
            self.commits += [commit for _, commit in self.ordering.advance() if commit]

    def view(self, blocks: dict[bytes, VerifiedVertex]) -> list[tuple[bytes, str]]:
        """What becomes of every block that may still matter."""
        store, floor = self.ordering.store, self.ordering.floor
        return [
            (id_, "held" if store.get(id_) else "inert" if store.is_inert(id_) else "gone")
            for id_, signed in sorted(blocks.items())
            if signed.vertex.lamport > floor.lamport
        ]


class World:
    """Honest authors build on what the node ahead accepts; the liar on anything."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.dag = BlockDag(4)
        self.blocks: dict[bytes, VerifiedVertex] = {}
        self.ahead = Node(self.dag)
        self.last: dict[int, VerifiedVertex] = {}
        self.row: list[VerifiedVertex] = []
        self.lies: list[VerifiedVertex] = []
        self.rounds: dict[bytes, int] = {}

    def play(self, round_: int, *, is_lying: bool) -> None:
        for _ in range(self.random.randrange(3) if is_lying else 0):
            self.lies.append(self.lie(round_))
        note = self.dag.note(1, []) if round_ == 1 else self.dag.note(1)
        made = [self.build(author, round_, note) for author in HONEST]
        self.row = made
        for signed in (*self.lies[-2:], *made):
            self.ahead.give(signed, self.blocks)

    def build(self, author: int, round_: int, note: VerifiedVertex) -> VerifiedVertex:
        own = [signed for signed in self.row if signed.vertex.author == self.person(author)]
        others = [signed for signed in self.row if signed not in own]
        store = self.ahead.ordering.store
        fit = [lie for lie in self.lies[-8:] if store.get(lie.id) and self.rounds[lie.id] < round_]
        parents = [*own, *others, *(fit[-1:] if round_ > 1 else ())]
        payload = [note.ref] if author == 1 else []
        return self.keep(round_, self.dag.block(author, round_, parents, payload=payload))

    def lie(self, round_: int) -> VerifiedVertex:
        """A block on whatever: recent blocks, old ones, lies, a note, perhaps with a quorum."""
        random = self.random
        below = [signed for signed in self.row if random.randrange(10)]
        own = self.lies[-1:] if random.randrange(3) else random.sample(self.lies, bool(self.lies))
        old = random.sample(list(self.blocks.values()), min(len(self.blocks), random.randrange(2)))
        notes = [self.dag.builder.vertices[-1]] if not random.randrange(8) else []
        parents = list({signed.id: signed for signed in (*own, *below, *old, *notes)}.values())
        claimed = random.choice([round_, round_, max(1, round_ - 1)])
        previous = self.rounds.get(own[0].id, 0) if own else 0
        if not random.randrange(6):
            previous = min(claimed - 1, previous + 1)
        signed = self.dag.block(
            LIAR,
            claimed,
            parents,
            previous_round=min(previous, claimed - 1),
            seq=len(self.lies) if previous else 0,
            time_ms=random.randrange(10**6),
        )
        return self.keep(claimed, signed)

    def keep(self, round_: int, signed: VerifiedVertex) -> VerifiedVertex:
        self.blocks[signed.id] = signed
        self.rounds[signed.id] = round_
        return signed

    def person(self, author: int) -> bytes:
        return self.dag.builder.people[author].author


def play(seed: int, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(floor_module, "RETAINED_ROUNDS", 4)
    world = World(seed)
    late, last = Node(world.dag), Node(world.dag)
    waiting: list[tuple[int, VerifiedVertex]] = []
    for round_ in range(1, 50):
        before = len(world.blocks)
        world.play(round_, is_lying=round_ < 40)
        for signed in list(world.blocks.values())[before:]:
            is_lie = signed.vertex.author == world.person(LIAR)
            delay = world.random.choice([0, 5, 12, 30]) if is_lie else world.random.randrange(3)
            waiting.append((round_ + delay, signed))
        for due, signed in waiting:
            if due <= round_:
                late.give(signed, world.blocks)
        waiting = [item for item in waiting if item[0] > round_]
    nodes = (world.ahead, late, last)
    for signed in world.random.sample(list(world.blocks.values()), len(world.blocks)):
        for node in nodes:
            node.give(signed, world.blocks)
    assert world.ahead.ordering.floor.round > 20
    for node in nodes[1:]:
        assert node.commits == world.ahead.commits
        assert node.ordering.freeze() == world.ahead.ordering.freeze()
        assert node.view(world.blocks) == world.ahead.view(world.blocks)
    return sum(len(node.released) for node in nodes)


def test_nodes_with_different_floors_come_to_one_view(monkeypatch: pytest.MonkeyPatch):
    assert sum(play(seed, monkeypatch) for seed in range(12)) > 0


def feed(node: Node, rows: list[list[VerifiedVertex]]) -> None:
    for row in rows:
        for signed in row:
            node.ordering.add(signed)
            node.commits += [commit for _, commit in node.ordering.advance() if commit]


def name_verdict(node: Node, signed: VerifiedVertex) -> str:
    verdict = node.ordering.add(signed)
    return verdict.error.rule if isinstance(verdict, Inert) else type(verdict).__name__


def test_block_on_a_broken_one_counts_once_that_lies_below_the_floor(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(floor_module, "RETAINED_ROUNDS", 2)
    dag = BlockDag()
    rows = dag.rows(8)
    broken = dag.block(0, 2, rows[0][:2], time_ms=1)
    child = dag.block(0, 6, [broken, *rows[4][1:]], previous_round=2, seq=2, time_ms=1)
    grandchild = dag.block(0, 7, [child, *rows[5][1:]], seq=3, time_ms=1)
    slow, quick = Node(dag), Node(dag)
    feed(slow, rows[:6])
    assert [name_verdict(slow, block) for block in (broken, child, grandchild)] == [
        "quorum",
        "inert-parent",
        "inert-parent",
    ]
    feed(quick, rows)
    assert quick.ordering.floor.round == 1
    assert [name_verdict(quick, block) for block in (broken, child)] == ["Accepted"] * 2
    feed(slow, rows[6:])
    assert [block.id for block in slow.released] == [broken.id, child.id, grandchild.id]
    assert len(slow.ordering._suspended) == 0
    deaf = Ordering(dag.network, dag.committee, RoundRobin(dag.committee), gc_depth=3)
    for signed in (*(signed for row in rows[:6] for signed in row), broken, *rows[6], *rows[7]):
        deaf.add(signed)
        list(deaf.advance())
    assert deaf.store.get(broken.id) is not None
