"""I5, I15: the order is a function of the blocks, in whatever order they came.

What a validator has written is offered to orderings that know nothing: once as it was written,
which must give every commit it ever told, byte for byte, and once shuffled, parents first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from consensus.ordering import Ordering
from simulations.consensus.vertices import NETWORK
from simulations.errors import CheckFailed

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Sequence

    from dag.order import Commit
    from dag.vertex import SignedVertex
    from simulations.consensus.mesh import ValidatorMesh

ADVANCE_SHARE = 0.2
"""How often a shuffled reader looks for commits."""


def check_replay(mesh: ValidatorMesh, entries: Iterable[SignedVertex], height: int) -> None:
    """I15: what was written gives the commits that were told."""
    commits = _read(mesh, entries, None)
    if len(commits) != height:
        raise CheckFailed("I15 replay", f"the log gives {len(commits)} commits, told were {height}")
    _compare(mesh, commits, "I15 replay")


def check_shuffled(
    mesh: ValidatorMesh, entries: Sequence[SignedVertex], stream: random.Random, height: int
) -> None:
    """I5: the same blocks in another causal order give the same commits."""
    commits = _read(mesh, shuffle(entries, stream), stream)
    if len(commits) != height:
        raise CheckFailed("I5 arrival", f"{len(commits)} commits when shuffled, else {height}")
    _compare(mesh, commits, "I5 arrival")


def shuffle(entries: Sequence[SignedVertex], stream: random.Random) -> list[SignedVertex]:
    """Any order in which parents come before children."""
    known = dict.fromkeys(entry.id for entry in entries)
    children: dict[bytes, list[SignedVertex]] = {}
    missing: dict[bytes, int] = {}
    ready: list[SignedVertex] = []
    for entry in entries:
        parents = [ref.id for ref in entry.vertex.parents if ref.id in known]
        missing[entry.id] = len(parents)
        for parent in parents:
            children.setdefault(parent, []).append(entry)
        if not parents:
            ready.append(entry)
    shuffled = []
    while ready:
        place = stream.randrange(len(ready))
        ready[place], ready[-1] = ready[-1], ready[place]
        entry = ready.pop()
        shuffled.append(entry)
        for child in children.pop(entry.id, ()):
            missing[child.id] -= 1
            if not missing[child.id]:
                ready.append(child)
    return shuffled


def _read(
    mesh: ValidatorMesh, entries: Iterable[SignedVertex], stream: random.Random | None
) -> list[Commit]:
    """What a new ordering makes of blocks; with a stream it looks for commits now and then."""
    ordering = Ordering(
        NETWORK,
        mesh.committee,
        mesh.make_schedule(),
        payload=mesh.make_payload_order(),
        gc_depth=mesh.options.gc_depth,
    )
    commits: list[Commit] = []
    for entry in entries:
        ordering.add(entry)
        if stream is None or stream.random() < ADVANCE_SHARE:
            commits += [commit for _, commit in ordering.advance() if commit is not None]
    commits += [commit for _, commit in ordering.advance() if commit is not None]
    return commits


def _compare(mesh: ValidatorMesh, commits: Sequence[Commit], check: str) -> None:
    for told, found in zip(mesh.ledger.commits, commits, strict=False):
        if told != found:
            raise CheckFailed(check, f"commit {told.index} is another")
