"""I5, I15: the order is a function of the blocks, in whatever order they came.

What a validator has written is offered to orderings that know nothing: once as it was written,
which must give every commit it ever told, byte for byte, once shuffled, parents first, and once
behind a state that was taken up as bytes, as a newcomer does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from consensus.ordering import Ordering, decode_state, encode_state
from simulations.consensus.vertices import NETWORK
from simulations.errors import CheckFailed

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Iterator, Sequence

    from consensus.ordering import OrderingState
    from dag.order import Commit
    from dag.vertex import SignedVertex
    from simulations.consensus.mesh import ValidatorMesh

ADVANCE_SHARE: Final = 0.2
"""How often a shuffled reader looks for commits."""


def check_repeats(
    mesh: ValidatorMesh, entries: Sequence[SignedVertex], stream: random.Random, height: int
) -> None:
    """Every way of reading what a validator with so many commits has written gives the same."""
    index = stream.randint(0, height)
    middle, state = check_replay(mesh, entries, height, index)
    if check_shuffled(mesh, entries, stream, height) != state:
        raise CheckFailed("I14 frame", "the same blocks in another order leave another state")
    check_thawed(mesh, entries, middle, index, height)


def check_replay(
    mesh: ValidatorMesh, entries: Iterable[SignedVertex], height: int, index: int = 0
) -> tuple[bytes, bytes]:
    """I15: what was written gives the commits that were told.

    Answers the states after commit `index` and after the last.
    """
    ordering = _make_ordering(mesh)
    state = encode_state(ordering.freeze())
    commits = []
    for commit in _iterate(ordering, entries, None):
        commits.append(commit)
        if commit.index == index:
            state = encode_state(ordering.freeze())
    if len(commits) != height:
        raise CheckFailed("I15 replay", f"the log gives {len(commits)} commits, told were {height}")
    _compare(mesh.ledger.commits, commits, "I15 replay")
    return state, encode_state(ordering.freeze())


def check_shuffled(
    mesh: ValidatorMesh, entries: Sequence[SignedVertex], stream: random.Random, height: int
) -> bytes:
    """I5: the same blocks in another causal order give the same; answers the state after them."""
    ordering = _make_ordering(mesh)
    commits = list(_iterate(ordering, shuffle(entries, stream), stream))
    if len(commits) != height:
        raise CheckFailed("I5 arrival", f"{len(commits)} commits when shuffled, else {height}")
    _compare(mesh.ledger.commits, commits, "I5 arrival")
    return encode_state(ordering.freeze())


def check_thawed(
    mesh: ValidatorMesh, entries: Iterable[SignedVertex], state: bytes, index: int, height: int
) -> None:
    """Who takes up the state after a commit, as bytes, comes to the same commits behind it."""
    ordering = _make_ordering(mesh, decode_state(state))
    commits = list(_iterate(ordering, entries, None))
    if len(commits) != height - index:
        raise CheckFailed("I5 thawed", f"{len(commits)} of {height - index} commits follow {index}")
    _compare(mesh.ledger.commits[index:], commits, "I5 thawed")


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


def _make_ordering(mesh: ValidatorMesh, start: OrderingState | None = None) -> Ordering:
    return Ordering(
        NETWORK,
        mesh.committee,
        mesh.make_schedule(),
        payload=mesh.make_payload_order() if start is None else None,
        gc_depth=mesh.options.gc_depth,
        start=start,
    )


def _iterate(
    ordering: Ordering, entries: Iterable[SignedVertex], stream: random.Random | None
) -> Iterator[Commit]:
    """What an ordering makes of blocks; with a stream it looks for commits now and then."""
    for entry in entries:
        ordering.add(entry)
        if stream is None or stream.random() < ADVANCE_SHARE:
            yield from _take_commits(ordering)
    yield from _take_commits(ordering)


def _take_commits(ordering: Ordering) -> Iterator[Commit]:
    return (commit for _, commit in ordering.advance() if commit is not None)


def _compare(told: Sequence[Commit], commits: Sequence[Commit], check: str) -> None:
    for one, found in zip(told, commits, strict=False):
        if one != found:
            raise CheckFailed(check, f"commit {one.index} is another")
