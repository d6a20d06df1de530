"""What a run is made of: everything that decides its outcome."""

from __future__ import annotations

from typing import Final

import msgspec

from simulations.streams import Streams

FAULTS: Final = ("join", "lag", "replay", "snapshot", "torn")
"""What happens to copies: `join` throws one away for a snapshot of another, `lag` lets it fall behind
for some commits, `replay` folds all from the beginning, `snapshot` puts it away and takes it up
again, `torn` hands it broken snapshots, which it must refuse."""
TROUBLES: Final = ("committee", "garbage", "silence")
"""What happens to all: another committee, vertices that say nothing sensible, time without commits."""
KINDS: Final = (*FAULTS, *TROUBLES)
KINDS_MIN: Final = 3
COPIES_MAX: Final = 5
COMMITS_MIN: Final = 40
COMMITS_MAX: Final = 120
APART_EVERY: Final = 20
"""One run in so many is repeated in a process that hashes differently."""


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    seed: int
    copies: int
    """Nodes beside the one that people look at."""
    commits: int
    """In which something may be said."""
    talk: int
    """Most that is said in a commit, in turns of accounts."""
    kinds: tuple[str, ...]
    apart: bool = False
    """Whether to repeat it in another process."""
    mutant: str = ""


def draw_spec(seed: int, *, mutant: str = "") -> Spec:
    """The run that a seed stands for."""
    stream = Streams(seed).get("folding")
    kinds = [kind for kind in KINDS if stream.random() < 0.5]
    while len(kinds) < KINDS_MIN:
        kinds = sorted({*kinds, stream.choice(KINDS)})
    return Spec(
        seed=seed,
        copies=stream.randint(2, COPIES_MAX),
        commits=stream.randint(COMMITS_MIN, COMMITS_MAX),
        talk=stream.choice((2, 4, 8)),
        kinds=tuple(kinds),
        apart=seed % APART_EVERY == 0,
        mutant=mutant,
    )
