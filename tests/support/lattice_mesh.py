"""Validators that build blocks over a delayed, partitioned network, in ticks of virtual time.

Only what the order needs is modelled: a block brings along whatever of its history the receiver
lacks, as a fetch from its sender would, and the newest own block is sent again while nothing moves.
The building rule is the plain one: a quorum of the round below, its leader or a timeout.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random

from consensus.block import Block
from consensus.committee import Committee
from consensus.decision import Decision
from consensus.leader import RoundRobin
from dag.order import Commit
from tests.support.lattice import make_block, make_ordering

TIMEOUT_TICKS = 40
RESEND_TICKS = 60
CanReach = Callable[[int, int, int], bool]
"""(tick, from, to): whether a message sent now arrives."""


def reach_all(tick: int, source: int, target: int) -> bool:
    """A healthy network."""
    return True


class Validator:
    """One node: what it holds, what it made, and the order it sees."""

    def __init__(self, mesh: LatticeMesh, author: int) -> None:
        self.mesh = mesh
        self.author = author
        self.ordering = make_ordering(mesh.committee, gc_depth=1_000)
        self.taken: list[tuple[Decision, Commit | None]] = []
        self.made: list[Block] = []
        self.round = 1
        self.entered = 0
        self.sent = 0

    @property
    def sequence(self) -> list[tuple[object, ...]]:
        """What nodes must agree on."""
        return [(d.slot, d.status, d.block, commit) for d, commit in self.taken]

    def take(self, block: Block) -> None:
        """Take in a block with all that is missing below it."""
        store, wanted, missing = self.ordering.store, [block], {}
        while wanted:
            item = wanted.pop()
            if store.get(item.id) is None and item.id not in missing:
                missing[item.id] = item
                wanted += [self.mesh.blocks[ref.id] for ref in item.parents]
        for item in sorted(missing.values(), key=lambda item: (item.round, item.id)):
            self.ordering.insert(item)
        self.taken += self.ordering.advance()

    def step(self, tick: int) -> None:
        """Build if it is time; else send the newest block again now and then."""
        parents = self._choose_parents()
        limits = self.mesh.committee.thresholds
        stake = self.mesh.committee.get_stake
        enough = sum(stake(block.author) for block in parents) >= limits.quorum
        leaders = self.mesh.schedule.get_leaders(self.round - 1)
        led = any(block.author in leaders for block in parents)
        late = tick - self.entered >= TIMEOUT_TICKS
        if self.round == 1 or (enough and (led or late)):
            self._build(tick, parents)
        elif self.made and tick - self.sent >= RESEND_TICKS:
            self.sent = tick
            self.mesh.send(tick, self.author, self.made[-1])

    def _choose_parents(self) -> list[Block]:
        below = self.ordering.store.get_round(self.round - 1)
        first: dict[int, Block] = {}
        for block in sorted(below, key=lambda block: self.mesh.rank(self.author, block)):
            first.setdefault(block.author, block)
        own = self.made[-1:] if self.made else []
        return [*own, *(block for block in first.values() if block.author != self.author)]

    def _build(self, tick: int, parents: list[Block]) -> None:
        names = ("", "twin") if self.author in self.mesh.liars else ("",)
        made = [make_block(self.author, self.round, parents, variant=name) for name in names]
        self.made.append(made[0])
        for block in made:
            self.mesh.blocks[block.id] = block
            self.take(block)
        self.round += 1
        self.entered = self.sent = tick
        for block in made:
            self.mesh.send(tick, self.author, block, half=len(made) > 1 and block is made[1])


class LatticeMesh:
    """All validators and the messages between them."""

    def __init__(
        self,
        committee: Committee,
        seed: int,
        *,
        can_reach: CanReach = reach_all,
        liars: tuple[int, ...] = (),
    ) -> None:
        self.committee = committee
        self.schedule = RoundRobin(committee)
        self.liars = liars
        self.blocks: dict[bytes, Block] = {}
        self._random = Random(seed)
        self._can_reach = can_reach
        self._queue: list[tuple[int, int, int, bytes]] = []
        self._messages = 0
        self.validators = [Validator(self, author) for author in range(len(committee))]
        self._tick = 0

    def rank(self, receiver: int, block: Block) -> tuple[int, bytes]:
        """Which twin a validator came to know first: odd ones one, even ones the other."""
        first = min(held.block.id for held in self.validators[receiver].ordering.store.get_slot(
            block.round, block.author))  # fmt: skip
        return int((block.id == first) == bool(receiver % 2)), block.id

    def send(self, tick: int, source: int, block: Block, *, half: bool = False) -> None:
        """Send to all, or to the odd ones soon and to the even ones late."""
        for target in range(len(self.validators)):
            if target != source and self._can_reach(tick, source, target):
                delay = self._random.randint(5, 10) + (10 if half and target % 2 else 0)
                self._messages += 1
                heapq.heappush(self._queue, (tick + delay, self._messages, target, block.id))

    def run(self, ticks: int) -> None:
        """Let virtual time pass."""
        end = self._tick + ticks
        while self._tick < end:
            while self._queue and self._queue[0][0] <= self._tick:
                _, _, target, block_id = heapq.heappop(self._queue)
                self.validators[target].take(self.blocks[block_id])
            for validator in self.validators:
                validator.step(self._tick)
            self._tick += 1

    def check(self) -> None:
        """Every sequence is a prefix of the longest."""
        longest = max((v.sequence for v in self.validators), key=len)
        for validator in self.validators:
            sequence = validator.sequence
            assert sequence == longest[: len(sequence)]

    def lengths(self) -> list[int]:
        """How many slots each validator has decided in sequence."""
        return [len(validator.taken) for validator in self.validators]
