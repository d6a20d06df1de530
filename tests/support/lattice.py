"""Random lattices of valid blocks, without signatures: for the commit rule and the linearizer."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random

from consensus.block import Block
from consensus.block_store import BlockStore
from consensus.committee import Committee
from consensus.committer import Committer
from consensus.leader import LeaderSchedule, RoundRobin
from consensus.ordering import Ordering
from consensus.protocol import Profile, ProfileName
from dag.genesis import Validator
from dag.types import Ref

NETWORK = bytes(32)


def make_committee(
    stakes: int | Sequence[int], profile: ProfileName | Profile = "bft3", *, epoch: int = 0
) -> Committee:
    """A committee of so many members of stake 1, or of these stakes."""
    given = [1] * stakes if isinstance(stakes, int) else stakes
    members = [Validator(bytes([i]) * 32, stake) for i, stake in enumerate(given)]
    return Committee(epoch, members, profile)


def make_block(
    author: int,
    round_: int,
    parents: Iterable[Block] = (),
    *,
    variant: str = "",
    time_ms: int | None = None,
    payload: tuple[Ref, ...] = (),
) -> Block:
    """A block whose id follows from what it is."""
    parents = tuple(parents)
    name = repr((author, round_, variant, [parent.id for parent in parents], payload)).encode()
    lamport = 1 + max((parent.ref.lamport for parent in parents), default=0)
    return Block(
        ref=Ref(lamport, hashlib.sha256(name).digest()),
        author=author,
        round=round_,
        parents=tuple(parent.ref for parent in parents),
        payload=payload,
        time_ms=1_000 * round_ + author if time_ms is None else time_ms,
    )


@dataclass(frozen=True)
class Shape:
    """How a random lattice is made. Chances are out of 100."""

    rounds: int = 20
    liars: tuple[int, ...] = ()
    """Authors that make up to three twins."""
    crashed: tuple[int, ...] = ()
    """Authors that fall silent after a third of the rounds."""
    leader_chance: int = 50
    """How likely a block takes the leader of the round below, where it has the choice."""
    late_chance: int = 10
    """How likely a block also takes an older block that it has not taken."""
    absent_chance: int = 5
    """How likely an author makes no block in a round, as far as a quorum stands without it."""


def grow(
    random: Random, committee: Committee, shape: Shape, schedule: LeaderSchedule | None = None
) -> list[Block]:
    """A lattice of valid blocks, parents before children. Honest authors make one per round."""
    schedule = schedule or RoundRobin(committee)
    last: dict[int, list[Block]] = {author: [] for author in range(len(committee))}
    below: list[Block] = []
    blocks: list[Block] = []
    for round_ in range(1, shape.rounds + 1):
        leaders = schedule.get_leaders(round_ - 1)
        made: list[Block] = []
        for author in _pick_authors(random, committee, shape, round_):
            count = 1 + (random.randrange(3) if author in shape.liars else 0)
            for variant in range(count):
                parents = _pick_parents(random, committee, shape, author, below, last, leaders)
                made.append(make_block(author, round_, parents, variant=str(variant)))
        for block in made:
            if block.author in shape.liars:
                last[block.author].append(block)
            else:
                last[block.author] = [block]
        blocks += made
        below = made
    return blocks


def _pick_authors(random: Random, committee: Committee, shape: Shape, round_: int) -> list[int]:
    authors = list(range(len(committee)))
    if round_ * 3 > shape.rounds:
        authors = [author for author in authors if author not in shape.crashed]
    for author in random.sample(authors, len(authors)):
        rest = [other for other in authors if other != author]
        stake = sum(committee.get_stake(other) for other in rest)
        if stake >= committee.thresholds.quorum and random.randrange(100) < shape.absent_chance:
            authors = rest
    return authors


def _pick_parents(  # noqa: PLR0917 - a step of `grow`, with its state
    random: Random,
    committee: Committee,
    shape: Shape,
    author: int,
    below: Sequence[Block],
    last: dict[int, list[Block]],
    leaders: tuple[int, ...],
) -> list[Block]:
    """Own previous first, then a random quorum of the round below, then perhaps a straggler."""
    if not below:
        return []
    own = random.choice(last[author]) if last[author] else None
    parents = {} if own is None else {author: own}
    stake = committee.get_stake(author) if own is not None and own in below else 0
    spread = random.sample(below, len(below))
    if random.randrange(100) < shape.leader_chance:
        spread.sort(key=lambda block: block.author not in leaders)
    quorum = committee.thresholds.quorum + random.randrange(2)
    for block in spread:
        if stake >= quorum:
            break
        if block.author not in parents and block.author != author:
            parents[block.author] = block
            stake += committee.get_stake(block.author)
    for other, known in last.items():
        if other not in parents and known and random.randrange(100) < shape.late_chance:
            parents[other] = known[-1]
    if own is None:
        parents.pop(author, None)
    return list(parents.values())


def shuffle(random: Random, blocks: Sequence[Block]) -> list[Block]:
    """The same blocks in a random causal order."""
    held = {block.id for block in blocks}
    waiting = {block.id: sum(ref.id in held for ref in block.parents) for block in blocks}
    children: dict[bytes, list[Block]] = {}
    for block in blocks:
        for ref in block.parents:
            children.setdefault(ref.id, []).append(block)
    rank = {block.id: random.random() for block in blocks}
    ready = [(rank[block.id], block.id, block) for block in blocks if not waiting[block.id]]
    heapq.heapify(ready)
    order: list[Block] = []
    while ready:
        block = heapq.heappop(ready)[2]
        order.append(block)
        for child in children.get(block.id, ()):
            waiting[child.id] -= 1
            if not waiting[child.id]:
                heapq.heappush(ready, (rank[child.id], child.id, child))
    return order


def cut(random: Random, blocks: Sequence[Block]) -> list[Block]:
    """A random causally closed part: what one node may hold."""
    missing: set[bytes] = set()
    part: list[Block] = []
    loss = random.choice([0, 1, 3, 10])
    for block in blocks:
        lost = random.randrange(100) < loss or any(ref.id in missing for ref in block.parents)
        if lost:
            missing.add(block.id)
        else:
            part.append(block)
    return part


def make_ordering(
    committee: Committee, schedule: LeaderSchedule | None = None, gc_depth: int | None = None
) -> Ordering:
    """An ordering that is fed blocks by `insert`."""
    return Ordering(NETWORK, committee, schedule or RoundRobin(committee), gc_depth=gc_depth)


def make_store(committee: Committee, blocks: Iterable[Block] = ()) -> BlockStore:
    """A store that holds these blocks."""
    store = BlockStore(committee)
    for block in blocks:
        store.add(block)
    return store


def make_committer(
    committee: Committee, blocks: Iterable[Block] = (), schedule: LeaderSchedule | None = None
) -> Committer:
    """A committer over these blocks."""
    return Committer(make_store(committee, blocks), schedule or RoundRobin(committee))
