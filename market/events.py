"""What happened, as values, and the chain of digests over what happened to each account.

Events are a function of the state and the commits, so every node writes the same ones. The state
keeps only how many there were and the last digest of each account's chain: whoever holds an
account's events can show that none is missing and none was changed.
"""

from __future__ import annotations

from typing import Final

import msgspec

from dag.canonical import compute_digest, encode
from market.tables import Table

AUDIT_DOMAIN: Final = b"meshnode/market-audit/1"


class Event(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
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


def extend_audit(digest: bytes, time_ms: int, event: Event) -> bytes:
    """Chain one more event."""
    return compute_digest(AUDIT_DOMAIN, digest + encode((time_ms, event)))


class Trail:
    """The events of the commit that is being folded, and every account's chain."""

    def __init__(self, audits: Table[Audit] | None = None) -> None:
        self.audits: Final[Table[Audit]] = Table() if audits is None else audits
        self._time_ms = 0
        self._events: list[Event] = []

    @property
    def events(self) -> tuple[Event, ...]:
        """What happened in the last commit."""
        return tuple(self._events)

    def begin(self, time_ms: int) -> None:
        """A commit begins."""
        self._time_ms = time_ms
        self._events = []

    def note(self, event: Event) -> None:
        """Something happened; it is chained to what happened to its account before."""
        self._events.append(event)
        key = event.account
        audit = self.audits.edit(key) if key in self.audits else self.audits.put(key, Audit())
        audit.count += 1
        audit.digest = extend_audit(audit.digest, self._time_ms, event)

    def note_refusal(self, event: Event) -> None:
        """A command had no effect; that leaves no mark on the state."""
        self._events.append(event)
