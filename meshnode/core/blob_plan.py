"""Which chunk of a blob to ask of which holder, and what to think of who does not give it.

Sans-I/O: events in, actions out, time as an argument. A `TransferPlan` belongs to one blob and one
attempt to have it; what was there before is told at the start, so a broken-off fetch goes on.

* Every holder has a window of chunks that were asked of it and have not come.
* A chunk goes to one holder at a time, from a place in the blob that differs between nodes, so
  that those who fetch the same blob soon have something for each other.
* A holder that gives nothing for `patience_ms` gets a strike: its chunks are open to others, and it
  is asked for nothing more until it gives something. A chunk that it said it has and has not is a
  strike, too. With the last strike it is left.
* Bytes that are not the chunk are a lie, as the chunk's digest is known: the holder is left at once.
* When every chunk is asked for, one that is outstanding for `hedge_ms` is also asked of another
  holder, so that a slow one does not hold up the end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from meshnode.core.blob_manifest import make_full

if TYPE_CHECKING:
    from meshnode.core.blob_manifest import Manifest

HOLDERS_MAX: Final = 8
"""Holders in use at once."""
KNOWN_MAX: Final = 64
"""Holders whose strikes are remembered; beyond, no further one is taken."""
WINDOW_BYTES: Final = 1024 * 1024
WINDOW_CHUNKS_MIN: Final = 2
"""The next chunk is asked for before the last has come."""
WINDOW_CHUNKS_MAX: Final = 4
STRIKES_MAX: Final = 3
ASKERS_MAX: Final = 2
"""Holders of which one chunk is asked at once."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long holders may take."""

    patience_ms: int = 10_000
    """From one chunk to the next, while some are outstanding."""
    hedge_ms: int = 2_500
    """After so long an outstanding chunk may be asked of another holder, at the end."""


@dataclass(frozen=True, slots=True)
class AskChunk:
    """Ask a holder for a chunk."""

    holder: str
    index: int


@dataclass(frozen=True, slots=True)
class LeaveHolder:
    """Be done with a holder: end its stream."""

    holder: str
    reason: str
    lied: bool = False
    """Whether it is to be reported for what it did."""


Action = AskChunk | LeaveHolder


@dataclass(slots=True)
class _Holder:
    have: int
    asked: dict[int, int] = field(default_factory=dict)
    """When each outstanding chunk was asked for, the oldest first."""
    progress_ms: int = 0
    """Its last chunk, or the question that ended its idleness."""
    is_late: bool = False


class TransferPlan:
    """The state of one transfer."""

    def __init__(
        self, manifest: Manifest, *, held: int = 0, start: int = 0, patience: Patience | None = None
    ) -> None:
        """`held` are the chunks that are there; `start` is where in the blob to begin."""
        self._patience = patience or Patience()
        self._missing = make_full(manifest.chunks) & ~held
        self._start = start % manifest.chunks
        self._window = min(
            WINDOW_CHUNKS_MAX, max(WINDOW_CHUNKS_MIN, WINDOW_BYTES // manifest.chunk_bytes)
        )
        self._holders: dict[str, _Holder] = {}
        self._strikes: dict[str, int] = {}
        self.wasted = 0
        """Chunks that came although they were there already."""

    @property
    def is_finished(self) -> bool:
        """Whether every chunk is there."""
        return not self._missing

    @property
    def missing(self) -> int:
        """The chunks that are not there, as bits."""
        return self._missing

    @property
    def is_stuck(self) -> bool:
        """Whether chunks are missing and nobody is about to give one: further holders are needed."""
        busy = any(state.asked and not state.is_late for state in self._holders.values())
        return not self.is_finished and not busy

    @property
    def has_room(self) -> bool:
        """Whether a further holder would be used."""
        return len(self._holders) < HOLDERS_MAX

    @property
    def holders(self) -> tuple[str, ...]:
        """Who is in use."""
        return tuple(self._holders)

    def is_welcome(self, holder: str) -> bool:
        """Whether a holder would be taken: it is not in use and has not failed too often."""
        known = self._strikes.get(holder)
        if known is None and len(self._strikes) >= KNOWN_MAX:
            return False
        return self.has_room and holder not in self._holders and (known or 0) < STRIKES_MAX

    def add_holder(self, holder: str, have: int, *, now_ms: int) -> list[Action]:
        """A holder says which chunks it has."""
        assert self.is_welcome(holder), "callers ask first"
        self._strikes.setdefault(holder, 0)
        self._holders[holder] = _Holder(have)
        return self._go_on(now_ms)

    def lose_holder(self, holder: str, *, now_ms: int) -> list[Action]:
        """A holder is gone; what was asked of it is asked of others."""
        self._holders.pop(holder, None)
        return self._go_on(now_ms)

    def take_chunk(self, holder: str, index: int, *, valid: bool, now_ms: int) -> list[Action]:
        """A chunk has come, and its digest was compared; invalid ones are to be thrown away."""
        state = self._holders.get(holder)
        if state is None:
            return []  # it was left while this was under way
        if index not in state.asked:
            return [self._leave(holder, "it sent what was not asked for", lied=True)]
        if not valid:
            lie = self._leave(holder, f"chunk {index} is not what its digest says", lied=True)
            return [lie, *self._go_on(now_ms)]
        del state.asked[index]
        state.progress_ms, state.is_late = now_ms, False
        if not self._missing >> index & 1:
            self.wasted += 1
        self._missing &= ~(1 << index)
        return self._go_on(now_ms)

    def note_gone(self, holder: str, index: int, *, now_ms: int) -> list[Action]:
        """A holder no longer has a chunk that it was asked for."""
        state = self._holders.get(holder)
        if state is None:
            return []
        if index not in state.asked:
            return [self._leave(holder, "it spoke of what was not asked for", lied=True)]
        del state.asked[index]
        state.have &= ~(1 << index)
        struck = self._strike(holder, "it lacks chunks that it said it has")
        return [*struck, *self._go_on(now_ms)]

    def tick(self, *, now_ms: int) -> list[Action]:
        """Time has passed."""
        actions: list[Action] = []
        for holder, state in list(self._holders.items()):
            if state.asked and now_ms >= state.progress_ms + self._patience.patience_ms:
                state.progress_ms, state.is_late = now_ms, True
                actions += self._strike(holder, "it does not give what it was asked for")
        return [*actions, *self._go_on(now_ms)]

    def next_deadline_ms(self, *, now_ms: int) -> int | None:
        """When `tick` is due next; None while nothing is outstanding."""
        times = []
        for state in self._holders.values():
            if state.asked:
                times.append(state.progress_ms + self._patience.patience_ms)
            times += [
                asked_ms + self._patience.hedge_ms
                for asked_ms in state.asked.values()
                if asked_ms + self._patience.hedge_ms > now_ms
            ]
        return min(times, default=None)

    # --- inside ----------------------------------------------------------------------------------

    def _strike(self, holder: str, reason: str) -> list[Action]:
        self._strikes[holder] += 1
        if self._strikes[holder] < STRIKES_MAX:
            return []
        return [self._leave(holder, reason)]

    def _leave(self, holder: str, reason: str, *, lied: bool = False) -> LeaveHolder:
        if lied:
            self._strikes[holder] = STRIKES_MAX
        del self._holders[holder]
        return LeaveHolder(holder, reason, lied)

    def _go_on(self, now_ms: int) -> list[Action]:
        """Fill the windows, one chunk for each holder in turn; leave whoever has nothing to give."""
        actions: list[Action] = []
        hungry = dict.fromkeys(self._holders)
        while hungry:
            for holder in list(hungry):
                index = self._choose(self._holders[holder], now_ms)
                if index is None:
                    del hungry[holder]
                else:
                    self._ask(self._holders[holder], index, now_ms)
                    actions.append(AskChunk(holder, index))
        for holder, state in list(self._holders.items()):
            if not state.asked and not state.have & self._missing:
                actions.append(self._leave(holder, "it has nothing more to give"))
        return actions

    def _ask(self, state: _Holder, index: int, now_ms: int) -> None:
        if not state.asked:
            state.progress_ms = now_ms
        state.asked[index] = now_ms

    def _choose(self, state: _Holder, now_ms: int) -> int | None:
        if state.is_late or len(state.asked) >= self._window:
            return None
        wanted = state.have & self._missing
        index = self._pick(wanted & ~self._make_asked())
        return self._pick_again(state, wanted, now_ms) if index is None else index

    def _pick(self, wanted: int) -> int | None:
        if not wanted:
            return None
        behind = wanted >> self._start << self._start
        return _find_lowest(behind or wanted)

    def _make_asked(self) -> int:
        """What is asked of somebody who is not late with it."""
        asked = 0
        for state in self._holders.values():
            if not state.is_late:
                for index in state.asked:
                    asked |= 1 << index
        return asked

    def _pick_again(self, state: _Holder, wanted: int, now_ms: int) -> int | None:
        """A chunk that somebody else has been asked for, for long; the oldest such."""
        found: dict[int, int] = {}
        askers: dict[int, int] = {}
        for other in self._holders.values():
            for index, asked_ms in other.asked.items():
                askers[index] = askers.get(index, 0) + 1
                if wanted >> index & 1 and now_ms >= asked_ms + self._patience.hedge_ms:
                    found[index] = min(asked_ms, found.get(index, asked_ms))
        open_to = [
            (asked_ms, index)
            for index, asked_ms in found.items()
            if index not in state.asked and askers[index] < ASKERS_MAX
        ]
        return min(open_to)[1] if open_to else None


def _find_lowest(bits: int) -> int:
    return (bits & -bits).bit_length() - 1
