"""The newest record of every member, as far as it has been heard of and has not expired.

Bounded by the number of members: of each one record is kept, and nobody else's at all. What decides
is in the record, never who passed it on.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from meshnode.core.peer_record import LIFETIME_MAX_MS, PeerRecord, read_record
from meshnode.core.transport_id import compute_transport_id

PAGE_MAX: Final = 12
"""Records of one page: with the longest addresses it still fits a frame."""
BOOK_MAX: Final = 4_096
SKEW_MS: Final = 120_000
"""How far apart clocks may be."""


class Verdict(Enum):
    """What became of a record."""

    NEW = "new"
    KNOWN = "known"
    """The very one is held."""
    STALE = "stale"
    """A newer one of this peer is held, or another of the same number."""
    EXPIRED = "expired"
    TOO_LONG = "too long"
    """It would be good for longer than anybody is believed."""
    NOT_A_MEMBER = "not a member"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class HeldRecord:
    """A record and the bytes that prove it."""

    record: PeerRecord
    wire: bytes


class RecordBook:
    """Records by transport key."""

    def __init__(self, network: bytes, is_member: Callable[[str], bool]) -> None:
        """`is_member` tells whether a transport id is a member's."""
        self._network = network
        self._is_member = is_member
        self._held: dict[bytes, HeldRecord] = {}
        self._order: list[bytes] = []
        """Keys of the held records, ascending, where `_is_ordered`: pages are many, changes few."""
        self._is_ordered = True
        self._newest: dict[bytes, int] = {}
        """The highest sequence seen of a peer, also where its record has expired since."""

    def __len__(self) -> int:
        return len(self._held)

    def admit(self, now_ms: int, wire: bytes) -> tuple[Verdict, PeerRecord]:
        """Take a record, whoever brought it. Raises `InvalidMessage` for one that proves nothing."""
        record = read_record(wire, network=self._network)
        verdict = self._judge(now_ms, record, wire)
        if verdict is Verdict.NEW:
            self._is_ordered = self._is_ordered and record.key in self._held
            self._held[record.key] = HeldRecord(record, wire)
            self._newest[record.key] = record.sequence
        return verdict, record

    def _judge(self, now_ms: int, record: PeerRecord, wire: bytes) -> Verdict:
        if not self._is_member(compute_transport_id(record.key)):
            return Verdict.NOT_A_MEMBER
        if record.expires_ms <= now_ms:
            return Verdict.EXPIRED
        if record.expires_ms > now_ms + LIFETIME_MAX_MS + SKEW_MS:
            return Verdict.TOO_LONG
        newest = self._newest.get(record.key, -1)
        held = self._held.get(record.key)
        if held is not None and held.wire == wire:
            return Verdict.KNOWN
        if record.sequence <= newest:
            return Verdict.STALE
        if newest < 0 and len(self._newest) >= BOOK_MAX and not self._make_room(now_ms):
            return Verdict.FULL
        return Verdict.NEW

    def _make_room(self, now_ms: int) -> bool:
        """Forget who left the network, or has not been heard of for long."""
        self.expire(now_ms)
        gone = [key for key in self._newest if key not in self._held]
        for key in gone:
            del self._newest[key]
        return bool(gone)

    def expire(self, now_ms: int) -> None:
        """Put away what is good no longer, and what is no member's any more."""
        for key, held in list(self._held.items()):
            is_over = held.record.expires_ms <= now_ms
            if is_over or not self._is_member(compute_transport_id(key)):
                del self._held[key]
                self._is_ordered = False

    def _sort(self) -> list[bytes]:
        if not self._is_ordered:
            self._order = sorted(self._held)
            self._is_ordered = True
        return self._order

    def get(self, key: bytes) -> PeerRecord | None:
        """The record of a peer."""
        held = self._held.get(key)
        return None if held is None else held.record

    def list_roles(self, role: int) -> list[PeerRecord]:
        """Records of those who say that they have a role, in the order of their keys."""
        return [
            self._held[key].record for key in self._sort() if self._held[key].record.roles & role
        ]

    def select(self, keys: Sequence[bytes]) -> list[bytes]:
        """The records of these peers as far as they are held, at most a page of them."""
        return [self._held[key].wire for key in keys if key in self._held][:PAGE_MAX]

    def page(self, after: bytes) -> tuple[list[bytes], bytes]:
        """The records behind a key in the order of keys, and where the next page begins.

        `after` is empty for the first page, and the answer's mark is empty behind the last.
        """
        keys = self._sort()
        start = bisect_right(keys, after)
        shown = keys[start : start + PAGE_MAX]
        mark = shown[-1] if start + PAGE_MAX < len(keys) else b""
        return [self._held[key].wire for key in shown], mark
