"""Many runs: on all cores, resumable, and with a word on what was never reached.

Results are appended to a JSON-lines file as they come; a campaign that is started again with the
same file runs only the seeds that are missing there.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from simulations.faults import KINDS_MIN
from simulations.fuzzing.run import Result, run
from simulations.fuzzing.sometimes import STATES
from simulations.fuzzing.spec import VERTICES_MIN, Spec
from simulations.sweeps.choice import make_local_engine
from simulations.sweeps.engines import Failure

REACHED_FROM: Final = 50
"""A campaign of so many runs must have reached every state."""


class Summary(msgspec.Struct, kw_only=True):
    """What a campaign showed."""

    runs: int = 0
    violations: int = 0
    events: int = 0
    vertices: int = 0
    vertices_min: int = 0
    """Fewest in a clean run."""
    kinds_min: int = 0
    agreed_ms_max: int = 0
    failed: list[tuple[int, str, str]] = msgspec.field(default_factory=list)
    """(seed, promise, what happened)."""
    kinds: dict[str, int] = msgspec.field(default_factory=dict)
    reached: dict[str, int] = msgspec.field(default_factory=dict)

    def add(self, result: Result) -> None:
        """Count a run."""
        first = self.runs == 0
        self.runs += 1
        self.events += result.events
        self.vertices += result.vertices
        self.kinds_min = len(result.kinds) if first else min(self.kinds_min, len(result.kinds))
        for kind in result.kinds:
            self.kinds[kind] = self.kinds.get(kind, 0) + 1
        for state in result.reached:
            self.reached[state] = self.reached.get(state, 0) + 1
        self.agreed_ms_max = max(self.agreed_ms_max, result.agreed_ms)
        if result.check:
            self.violations += 1
            self.failed.append((result.seed, result.check, result.message))
        elif self.vertices_min == 0 or result.vertices < self.vertices_min:
            self.vertices_min = result.vertices

    @property
    def missed(self) -> tuple[str, ...]:
        """States never reached by a campaign that is long enough to reach them all."""
        if self.runs < REACHED_FROM:
            return ()
        return tuple(state for state in STATES if state not in self.reached)

    @property
    def is_clean(self) -> bool:
        """Whether nothing was broken, nothing was missed and every run was worth its while."""
        worthy = self.kinds_min >= KINDS_MIN and self.vertices_min >= VERTICES_MIN
        return not self.violations and not self.missed and (worthy or self.runs == 0)


def load_results(path: Path) -> list[Result]:
    """Results of an earlier campaign; a line torn by its end is left out."""
    results = []
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            results.append(msgspec.json.decode(line, type=Result))
        except msgspec.DecodeError:
            continue
    return results


class Results:
    """The file of a campaign, if it has one."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.known = {} if path is None else {one.seed: one for one in load_results(path)}

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
        nodes=spec.nodes,
        fidelity=spec.fidelity,
        kinds=(),
        faults=len(spec.faults),
        check="raised",
        message=failure.message,
        digest="",
        events=0,
        virtual_ms=0,
        agreed_ms=-1,
        vertices=0,
        reached=(),
    )


def select(specs: Sequence[Spec], known: Iterable[int]) -> list[Spec]:
    """The runs that have no result yet."""
    have = dict.fromkeys(known)
    return [spec for spec in specs if spec.seed not in have]
