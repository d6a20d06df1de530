"""The end of a campaign: every store is folded anew and held against all that was told."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from dag.order import Commit
from meshnode.core.recovered import Recovered
from tests.support.daemons import verify_store
from tests.support.stored_order import Places, fold_again, list_ids, read_block, read_stored
from tests.support.validators import Validator, ValidatorMesh

WAVE_ROUNDS = 3
"""A leader, the votes for it, and the blocks that certify them."""


@dataclass
class Judgement:
    """What the stores of a mesh amount to."""

    acknowledged: int = 0
    commits: int = 0
    decided_rounds: dict[int, int] = field(default_factory=dict)
    """By the index of a commit: the first round with which its leader could be decided."""
    ordered_at: dict[str, int] = field(default_factory=dict)
    """By a vertex: the index of the commit that put it out."""
    failures: list[str] = field(default_factory=list)


async def judge(mesh: ValidatorMesh) -> Judgement:
    """Let the mesh come to rest, stop it, and compare: one order, and all that was promised in it."""
    found = Judgement()
    try:
        await mesh.settle()
    except TimeoutError:
        found.failures.append("the mesh does not come to rest")
    found.failures += mesh.book.failures
    for validator in list(mesh.running):
        await mesh.terminate(validator)
    found.acknowledged = len(mesh.acknowledged)
    bench = _Bench(mesh, found)
    for validator in mesh.validators:
        await asyncio.to_thread(bench.compare, validator)
    found.commits = len(bench.digests)
    return found


async def look_after_kill(validator: Validator) -> list[str]:
    """Acknowledged vertices that are not in the store a kill left behind."""
    held = list_ids(await asyncio.to_thread(read_stored, validator.seat.home.path))
    return [vertex for vertex in validator.acknowledged if vertex not in held]


class _Bench:
    """Takes one store after the other."""

    def __init__(self, mesh: ValidatorMesh, found: Judgement) -> None:
        self.digests: dict[int, bytes] = {}
        self._mesh = mesh
        self._found = found
        self._places = Places()

    def compare(self, validator: Validator) -> None:
        """Hold a store against the others, and against what was told and promised."""
        home, name, fail = validator.seat.home.path, validator.name, self._found.failures.append
        stored = read_stored(home)
        commits = fold_again(home, self._mesh.genesis, stored)
        for commit in commits:
            told = self._mesh.book.commits.get(commit.index)
            if self.digests.setdefault(commit.index, commit.digest) != commit.digest:
                fail(f"FORK: the store of {name} gives another commit {commit.index}")
            if told is not None and told.commit_digest != commit.digest.hex():
                fail(f"FORK: commit {commit.index} was told otherwise than {name} holds it")
        if len(commits) < max(self.digests, default=0):
            fail(f"the order of {name} ends at {len(commits)} of {max(self.digests)}")
        self._note(stored, commits)
        times = Counter(ref.id.hex() for commit in commits for ref in commit.vertices)
        again = _list_repeats(stored)
        lost = [
            vertex
            for vertex in self._mesh.acknowledged
            if sum(times[item] for item in _follow(again, vertex)) != 1
        ]
        twice = [vertex for vertex, count in times.items() if count > 1]
        if lost or twice:
            fail(f"{name}: {len(lost)} acknowledged not ordered once, {len(twice)} ordered twice")
        for twin in self._places.fill(stored):
            fail(f"{name} holds two vertices of {twin}")
        if (problem := verify_store(home)) is not None:
            fail(f"dag verify of {name}: {problem}")

    def _note(self, stored: Recovered, commits: Sequence[Commit]) -> None:
        vertices = {signed.id: signed for signed in stored.vertices}
        for commit in commits:
            round_ = read_block(vertices[commit.leader]).round
            self._found.decided_rounds[commit.index] = round_ + WAVE_ROUNDS - 1
            for ref in commit.vertices:
                self._found.ordered_at[ref.id.hex()] = commit.index


def _follow(repeats: dict[str, str], vertex: str) -> list[str]:
    """A vertex, and those by which it was said again."""
    found = [vertex]
    while found[-1] in repeats:
        found.append(repeats[found[-1]])
    return found


def _list_repeats(stored: Recovered) -> dict[str, str]:
    """By a vertex, the one by which its author said the same again, with it as a parent."""
    vertices = {signed.id: signed.vertex for signed in stored.vertices}
    repeats: dict[str, str] = {}
    for signed in stored.vertices:
        for ref in signed.vertex.parents:
            first = vertices.get(ref.id)
            if first is not None and (first.author, first.kind, first.body) == (
                signed.vertex.author,
                signed.vertex.kind,
                signed.vertex.body,
            ):
                repeats[ref.id.hex()] = signed.id.hex()
    return repeats
