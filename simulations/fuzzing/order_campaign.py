"""Many committees: on all cores, resumable, with a summary that says whether it was worth its while.

Results are appended to a JSON-lines file as they come; a campaign that is started again with the
same file runs only the seeds that are missing there.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing
from pathlib import Path

import msgspec

from simulations.consensus.spec import KINDS_MIN, ROUNDS_MIN, Spec
from simulations.fuzzing.order import Result, run
from simulations.sweeps.choice import make_local_engine
from simulations.sweeps.engines import Failure


class Summary(msgspec.Struct, kw_only=True):
    """What a campaign showed."""

    runs: int = 0
    violations: int = 0
    events: int = 0
    commits: int = 0
    rounds_min: int = 0
    """Fewest in a clean run."""
    kinds_min: int = 0
    settled_ms_max: int = 0
    failed: list[tuple[int, str, str]] = msgspec.field(default_factory=list)
    """(seed, promise, what happened)."""
    kinds: dict[str, int] = msgspec.field(default_factory=dict)
    profiles: dict[str, int] = msgspec.field(default_factory=dict)
    members: dict[int, int] = msgspec.field(default_factory=dict)

    def add(self, result: Result) -> None:
        """Count a run."""
        first = self.runs == 0
        self.runs += 1
        self.events += result.events
        self.commits += result.commits
        self.kinds_min = len(result.kinds) if first else min(self.kinds_min, len(result.kinds))
        for kind in result.kinds:
            self.kinds[kind] = self.kinds.get(kind, 0) + 1
        self.profiles[result.profile] = self.profiles.get(result.profile, 0) + 1
        self.members[result.members] = self.members.get(result.members, 0) + 1
        self.settled_ms_max = max(self.settled_ms_max, result.settled_ms)
        if result.check:
            self.violations += 1
            self.failed.append((result.seed, result.check, result.message))
        elif self.rounds_min == 0 or result.rounds < self.rounds_min:
            self.rounds_min = result.rounds

    @property
    def is_clean(self) -> bool:
        """Whether nothing was broken, and every run was worth its while."""
        worthy = self.kinds_min >= KINDS_MIN and self.rounds_min >= ROUNDS_MIN
        return not self.violations and (worthy or self.runs == 0)


class ResultFile:
    """What is known of a campaign, and where it is kept if it is."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.known: dict[int, Result] = {}
        if path is not None and path.exists():
            for line in path.read_bytes().splitlines():
                try:
                    result = msgspec.json.decode(line, type=Result)
                except msgspec.DecodeError:
                    continue  # torn by the end of the campaign before
                self.known[result.seed] = result

    def add(self, result: Result) -> None:
        """Append a result."""
        if self._path is not None:
            with self._path.open("ab") as file:
                file.write(msgspec.json.encode(result) + b"\n")


def run_all(specs: Iterable[Spec], workers: int = 0) -> Generator[Result, None, None]:
    """Run specs in processes of their own, and yield results as they come; 1 runs them here.

    A run that raises, or takes its process down, is a violation like any other.
    """
    with closing(make_local_engine(workers).map_tasks(run, specs)) as attempts:
        for attempt in attempts:
            if isinstance(attempt.result, Failure):
                yield _make_raised(attempt.item, attempt.result)
            else:
                yield attempt.result


def _make_raised(spec: Spec, failure: Failure) -> Result:
    return Result(
        seed=spec.seed,
        members=len(spec.stakes),
        profile=spec.profile,
        kinds=spec.kinds,
        check="raised",
        message=failure.message,
        digest="",
        events=0,
        virtual_ms=0,
        rounds=0,
        commits=0,
        settled_ms=-1,
    )
