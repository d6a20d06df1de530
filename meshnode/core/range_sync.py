"""With whom ranges are compared, from where on, and what becomes of what was found.

A session begins a little below where the two stores were equal the last time, and lower where an
unknown head is lower. What only the peer holds is fetched with GET; what only this side holds is
sent. A head that is unknown after that is fetched, and its parents after it: whatever
fingerprints said, this walk finds what is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dag.errors import Offence
from dag.ranges import END, cut_ref, make_lamport_bound
from meshnode.core.fetching import SESSION_DEPTH_MAX
from meshnode.core.range_answers import FULL_RANGE_GAP_MS, SESSION_GAP_MS, is_full_range
from meshnode.core.range_session import RangeSession

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from dag.index import Index
    from dag.types import Ref
    from meshnode.core.fetching import Fetching
    from meshnode.core.messages import Ranges
    from meshnode.core.outbox import Outbox
    from meshnode.core.requests import Offend

OVERLAP_LAMPORTS: Final = 64
"""So far below the last common state a session begins: late vertices are low."""
BACK_OFF_MS: Final = 60_000
UNSERVED_MAX: Final = 2
"""Questions about what a peer had named that it may leave open."""
PARTNERS_MAX: Final = 256
WAIT_MS: Final = 2 * SESSION_GAP_MS
"""Between two sessions with one peer: more than it insists on."""


@dataclass(slots=True, eq=False)
class _Partner:
    """What is remembered of a peer from one session, and one connection, to the next."""

    cut: int = 0
    """The highest lamport when both stores were equal."""
    unserved: int = 0
    owes: bool = False
    """It has named vertices in a session."""
    next_ms: int = 0
    """No session before."""
    next_full_ms: int = 0


class RangeSync:
    """The sessions this node asks for, one at a time."""

    def __init__(
        self,
        outbox: Outbox,
        index: Index,
        fetching: Fetching,
        *,
        answer_ms: int,
        is_needed: Callable[[bytes], bool],
        push: Callable[[int, str, Iterable[Ref]], None],
        offend: Offend,
    ) -> None:
        self._outbox = outbox
        self._index = index
        self._fetching = fetching
        self._answer_ms = answer_ms
        self._is_needed = is_needed
        self._push = push
        self._offend = offend
        self._partners: dict[str, _Partner] = {}
        self._session: RangeSession | None = None
        self._peer = ""
        self._heads: tuple[Ref, ...] = ()
        """Heads of the peer that were unknown when the session began."""
        self._deadline_ms = 0
        self._sessions = 0

    def note_equal(self, peer: str) -> None:
        """Both stores are equal: the next session begins here."""
        partner = self._get_partner(peer)
        partner.cut = self._index.lamport_max
        partner.unserved = 0
        partner.owes = False

    def start(self, now_ms: int, peer: str, heads: Sequence[Ref]) -> bool:
        """Begin a session with a peer that has unknown heads; answers whether it may be."""
        partner = self._get_partner(peer)
        if self._session is not None or now_ms < partner.next_ms:
            return False
        lowest = min([partner.cut, *[ref.lamport for ref in heads]]) - OVERLAP_LAMPORTS
        horizon = self._index.horizon.lowest
        lower = make_lamport_bound(lowest if lowest > horizon else horizon and horizon + 1)
        if is_full_range(self._index.ranges, lower, END):
            if now_ms < partner.next_full_ms:
                return False
            partner.next_full_ms = now_ms + FULL_RANGE_GAP_MS
        partner.next_ms = now_ms + WAIT_MS
        self._sessions += 1
        self._session = RangeSession(self._index.ranges, self._sessions, lower)
        self._peer = peer
        self._heads = tuple(heads)
        self._continue(now_ms, self._session)
        return True

    def on_answer(self, now_ms: int, peer: str, message: Ranges) -> bool:
        """Take an answer, unless it is too late; answers whether it was for the session."""
        session = self._session
        if session is None or peer != self._peer or message.session != session.number:
            return False
        if session.take(message):
            self._continue(now_ms, session)
        else:
            self._get_partner(peer).next_ms = now_ms + BACK_OFF_MS
            self._offend(now_ms, peer, Offence.UNASKED, "ranges that were not asked for")
            self._end(now_ms)
        return True

    def _continue(self, now_ms: int, session: RangeSession) -> None:
        question = session.ask()
        if question is None:
            self._end(now_ms)
        else:
            self._deadline_ms = now_ms + self._answer_ms
            self._outbox.send((self._peer,), question)

    def _end(self, now_ms: int) -> None:
        """Fetch and send what was found, and walk from what was not."""
        session, self._session = self._session, None
        if session is None:
            return  # the peer was hung up
        partner = self._get_partner(self._peer)
        if not session.needed and not session.lacked:
            partner.next_ms = now_ms + BACK_OFF_MS
        partner.owes = True
        hidden = [
            ref.id
            for ref in self._heads
            if cut_ref(ref) not in session.needed and self._is_needed(ref.id)
        ]
        names = [*session.needed, *hidden]
        self._fetching.want(self._peer, names, now_ms, depth=SESSION_DEPTH_MAX)
        if session.lacked:
            self._push(now_ms, self._peer, session.lacked.values())

    def on_unserved(self, now_ms: int, peer: str) -> None:
        """A peer left a question for vertices open."""
        partner = self._get_partner(peer)
        if not partner.owes:
            return
        partner.unserved += 1
        if partner.unserved >= UNSERVED_MAX:
            partner.unserved = 0
            partner.next_ms = now_ms + BACK_OFF_MS
            detail = "it names vertices again and again that it does not serve"
            self._offend(now_ms, peer, Offence.NOT_SERVED, detail)

    def drop_peer(self, peer: str) -> None:
        """A connection has ended, and a session with it."""
        if self._peer == peer:
            self._session = None

    def tick(self, now_ms: int) -> None:
        """End a session whose answer does not come; what it found counts."""
        if self._session is not None and self._deadline_ms <= now_ms:
            self._get_partner(self._peer).owes = True
            self.on_unserved(now_ms, self._peer)
            self._end(now_ms)

    def next_deadline(self) -> int | None:
        """When `tick` has something to do."""
        return None if self._session is None else self._deadline_ms

    def _get_partner(self, peer: str) -> _Partner:
        partner = self._partners.get(peer)
        if partner is None:
            partner = self._partners[peer] = _Partner()
            if len(self._partners) > PARTNERS_MAX:
                del self._partners[next(iter(self._partners))]
        return partner
