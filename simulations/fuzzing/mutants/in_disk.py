"""Seeded bugs of what lies under the core: journals that take for written what is not."""

from __future__ import annotations

from typing import Any, Final

from simulations.disk import HEADER, Disk
from simulations.fuzzing.mutants.patches import Mutant


def _trust(_right: Any) -> Any:
    def read_at(self: Disk, position: int) -> bytes | None:
        log = self._log
        start = position + HEADER.size
        if start > len(log):
            return None
        size, _ = HEADER.unpack_from(log, position)
        return bytes(log[start : start + size])

    return read_at


SEEDED: Final = (
    Mutant("torn-accepted", "half a transaction is read", ((Disk, "_read_at", _trust),)),
)
