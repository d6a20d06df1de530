"""What every campaign counts of its runs."""

from __future__ import annotations

from typing import Protocol

import msgspec


class _Result(Protocol):
    @property
    def seed(self) -> int: ...
    @property
    def kinds(self) -> tuple[str, ...]: ...
    @property
    def check(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def events(self) -> int: ...


class Tally(msgspec.Struct, kw_only=True):
    """Runs, what happened in them, and what they broke."""

    runs: int = 0
    violations: int = 0
    events: int = 0
    kinds_min: int = 0
    failed: list[tuple[int, str, str]] = msgspec.field(default_factory=list)
    """(seed, promise, what happened)."""
    kinds: dict[str, int] = msgspec.field(default_factory=dict)

    def count(self, result: _Result) -> None:
        """Count a run of any campaign."""
        first = self.runs == 0
        self.runs += 1
        self.events += result.events
        self.kinds_min = len(result.kinds) if first else min(self.kinds_min, len(result.kinds))
        for kind in result.kinds:
            self.kinds[kind] = self.kinds.get(kind, 0) + 1
        if result.check:
            self.violations += 1
            self.failed.append((result.seed, result.check, result.message))
