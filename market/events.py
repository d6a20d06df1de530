"""What happened, as values, and the chain of digests over what happened to each account.

Events are a function of the state and the commits, so every node writes the same ones. The state
keeps only how many there were and the last digest of each account's chain: whoever holds an
account's events can show that none is missing and none was changed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from dag.canonical import compute_digest, encode
from market.tables import Table

AUDIT_DOMAIN: Final = b"meshnode/market-audit/1"


class Event(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """One thing that happened to one account."""

    kind: str
    account: bytes
    subject: bytes
    """Id of the command, order, contract or window."""
    amount: int = 0
    """Micro-ruv, or lots where the kind counts lots."""
    detail: str = ""


class Audit(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """How far an account's chain goes."""

    count: int = 0
    digest: bytes = bytes(32)


REFUSED: Final = "refused"
"""The kind of events that leave no mark on the state."""


def extend_audit(digest: bytes, time_ms: int, events: Sequence[Event]) -> bytes:
    """Chain what happened to one account in one commit."""
    return compute_digest(AUDIT_DOMAIN, digest + encode((time_ms, events)))


class Trail:
    """The events of the commit that is being folded, and every account's chain."""

    def __init__(self, audits: Table[Audit] | None = None) -> None:
        self.audits: Final[Table[Audit]] = Table() if audits is None else audits
        self._events: list[Event] = []
        self.note: Final[Callable[[Event], None]] = self._events.append
        """Something happened. It is the list's own method: what a market does most is to note."""

    @property
    def events(self) -> tuple[Event, ...]:
        """What happened in the last commit."""
        return tuple(self._events)

    def begin(self) -> None:
        """A commit begins."""
        self._events.clear()

    def end(self, time_ms: int) -> None:
        """A commit ends: what happened to each account is chained to what happened before."""
        grouped: defaultdict[bytes, list[Event]] = defaultdict(list)
        marking = [event for event in self._events if event.kind != REFUSED]
        for event in marking:
            grouped[event.account].append(event)
        for account, events in grouped.items():
            known = account in self.audits
            audit = self.audits.edit(account) if known else self.audits.put(account, Audit())
            audit.count += len(events)
            audit.digest = extend_audit(audit.digest, time_ms, events)
