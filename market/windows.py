"""Windows of ten minutes in which probers watch a provider that has contracts.

Probes are numbered, and all probers make each of them: an outcome counts once three of five agree
on it. So two who lie neither break a guarantee nor save one. A contract that its provider did not
answer counts as a miss beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import msgspec

from market.contracts import Contract, Ended
from market.deadlines import WINDOW, Deadlines
from market.errors import Code, Refused
from market.sla import (
    PROBERS_QUORUM,
    PROBES_MAX,
    PROBES_MIN,
    REPORT_GRACE_MS,
    WINDOW_MS,
    pick_probers,
)
from market.tables import Table


class Served(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """A contract of a window."""

    buyer: bytes
    sla_tier: int
    escrow: int
    collateral: int
    paid: int = 0


class Report(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a prober saw."""

    prober: bytes
    outcomes: tuple[bool, ...]


class Window(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """A provider in a window."""

    provider: bytes
    number: int
    probers: tuple[bytes, ...]
    served: dict[bytes, Served]
    """By contract id."""
    reports: list[Report]
    misses: int = 0
    """Contracts that the provider did not answer."""

    def count(self) -> tuple[int, int]:
        """How many outcomes are good, and how many there are."""
        ok = bad = 0
        for probe in range(PROBES_MAX):
            seen = [each.outcomes[probe] for each in self.reports if probe < len(each.outcomes)]
            good = sum(seen)
            ok += good >= PROBERS_QUORUM
            bad += len(seen) - good >= PROBERS_QUORUM
        return ok, ok + bad + self.misses


class Windows:
    """All windows that are not judged yet."""

    def __init__(
        self,
        deadlines: Deadlines,
        weights: Mapping[bytes, int],
        rows: Table[Window] | None = None,
        beacon: bytes = b"",
    ) -> None:
        """Probers are drawn by `weights`, which others change as epochs of consensus do."""
        self.rows: Final[Table[Window]] = Table() if rows is None else rows
        self._deadlines = deadlines
        self._weights: Final = weights
        self._beacon = beacon
        """Number of the current window and the digest of its first commit, 40 bytes."""

    @property
    def beacon(self) -> bytes:
        """What the state keeps beside the rows."""
        return self._beacon

    def begin(self, time_ms: int, commit_digest: bytes) -> None:
        """A commit begins; the first one of a window decides who probes in it."""
        number = _encode_number(time_ms // WINDOW_MS)
        if self._beacon[:8] != number:
            self._beacon = number + commit_digest

    def add(self, contract: Contract) -> None:
        """A provider has one more contract in this window."""
        number = contract.opened_ms // WINDOW_MS
        key = contract.provider + _encode_number(number)
        self.rows.note_change(key)
        row = self.rows.get(key)
        if row is None:
            probers = pick_probers(self._beacon[8:], contract.provider, number, self._weights)
            row = self.rows.put(key, Window(contract.provider, number, probers, {}, []))
            self._deadlines.set(WINDOW + key, (number + 1) * WINDOW_MS + REPORT_GRACE_MS)
        row.served[contract.id] = Served(
            contract.buyer, contract.sla_tier, contract.escrow, contract.collateral
        )

    def end(self, ended: Ended) -> None:
        """A contract has ended; what was paid limits what its buyer gets back by a slash."""
        contract = ended.contract
        key = contract.provider + _encode_number(contract.opened_ms // WINDOW_MS)
        row = self.rows.get(key)
        if row is None:
            return
        self.rows.note_change(key)
        if ended.missed:
            row.misses += 1
        if ended.paid:
            row.served[contract.id].paid = ended.paid

    def report(
        self, prober: bytes, provider: bytes, number: int, outcomes: tuple[bool, ...]
    ) -> None:
        """Take a prober's word. Raises `Refused`."""
        key = provider + _encode_number(number) if 0 <= number < 2**63 else b""
        row = self.rows.get(key)
        if row is None:
            raise Refused(Code.UNKNOWN_WINDOW, "no such window waits for reports")
        if prober not in row.probers:
            raise Refused(Code.NOT_A_PROBER, "the account was not drawn to probe")
        if any(each.prober == prober for each in row.reports):
            raise Refused(Code.ALREADY_DONE, "the prober has reported")
        if not PROBES_MIN <= len(outcomes) <= PROBES_MAX:
            raise Refused(Code.OUT_OF_RANGE, f"{PROBES_MIN} to {PROBES_MAX} probes are reported")
        self.rows.edit(key).reports.append(Report(prober, outcomes))


@lru_cache(16)
def _encode_number(number: int) -> bytes:
    return number.to_bytes(8, "big")
