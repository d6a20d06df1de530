"""The places of an engine: who runs, who waits, who is refused, by `meshnode.routing.admission`.

This queue, not the engine's own, is where questions of all peers meet: it knows each one's
position, what to report, and how long a refused peer should wait.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Final

from meshnode.engines.base import EngineError, EngineFault
from meshnode.routing.admission import Admission, Admitted, Arrival, Limits, RefusalCode, Refused

if TYPE_CHECKING:
    from collections.abc import Callable

QUEUED_PER_SLOT: Final = 2
PACE_MS: Final = 1_000
"""How often what tokens take is looked at."""
_FAULTS: Final = {
    RefusalCode.TOO_LARGE: EngineFault.BAD_REQUEST,
}
"""What a refusal is to who asked; the others mean that this node is busy."""


class Place:
    """One question's place, from its arrival until `Slots.leave`."""

    def __init__(self, key: int) -> None:
        self.key: Final = key
        self.granted = asyncio.Event()
        self.token_ms: int | None = None
        """When its newest token came."""


class Slots:
    """Fair by tenant, the earliest deadline first within one; who pays goes before who does not."""

    def __init__(
        self,
        slots: int,
        *,
        changed: Callable[[], None],
        read_clock_ms: Callable[[], int],
        token_ms_max: int = 0,
    ) -> None:
        """Fewer run at once while a token takes longer than `token_ms_max`; 0 for never."""
        self._admission = Admission(
            Limits(
                slots=max(1, slots),
                queued_per_slot=QUEUED_PER_SLOT,
                token_us_max=token_ms_max * 1_000,
            )
        )
        self._changed = changed
        self._read_clock_ms = read_clock_ms
        self._places: dict[int, Place] = {}
        self._pace_ms = read_clock_ms()
        self._gaps = 0
        self._gaps_ms = 0

    @property
    def slots(self) -> int:
        """How many may run at once now."""
        return self._admission.slots

    @property
    def running(self) -> int:
        """Questions that run now."""
        return self._admission.running

    @property
    def queued(self) -> int:
        """Questions that wait for a slot."""
        return self._admission.queued

    @property
    def queued_prefill_tokens(self) -> int:
        """Prompt tokens of questions without a first token, running or waiting."""
        return self._admission.queued_prefill_tokens

    def check_room(self, arrival: Arrival) -> None:
        """Raises `EngineError` when this question would be refused now."""
        self._admission.leave(self._offer(arrival).key, now_ms=self._read_clock_ms())

    def enter(self, arrival: Arrival) -> Place:
        """Take a place; it is granted at once where a slot is free. Raises `EngineError`."""
        place = Place(self._offer(arrival).key)
        self._places[place.key] = place
        self._grant()
        return place

    def leave(self, place: Place) -> None:
        """Give a place back, running or waiting."""
        self._places.pop(place.key, None)
        self._admission.leave(place.key, now_ms=self._read_clock_ms())
        self._grant()

    def note_token(self, place: Place) -> None:
        """A token of a running question has come: a chunk counts as one."""
        now_ms = self._read_clock_ms()
        if place.token_ms is None:
            self._admission.on_first_token(place.key, now_ms=now_ms)
            self._changed()
        else:
            self._gaps += 1
            self._gaps_ms += max(0, now_ms - place.token_ms)
        place.token_ms = now_ms
        if self._gaps and now_ms - self._pace_ms >= PACE_MS:
            self._judge_pace(now_ms)

    def find_position(self, place: Place) -> int:
        """How many questions are served before this one, itself included; 0 once it runs."""
        return self._admission.find_position(place.key)

    def drain(self) -> None:
        """Refuse whatever comes from now on."""
        self._admission.drain()

    def _judge_pace(self, now_ms: int) -> None:
        slots = self.slots
        self._admission.on_pace(self._gaps_ms * 1_000 // self._gaps)
        self._pace_ms, self._gaps, self._gaps_ms = now_ms, 0, 0
        if self.slots != slots:
            self._grant()

    def _offer(self, arrival: Arrival) -> Admitted:
        now_ms = self._read_clock_ms()
        # Those notice by themselves that their time is over; here they only stop taking room.
        self._admission.take_expired(now_ms=now_ms)
        taken = self._admission.offer(arrival, now_ms=now_ms, draw=secrets.randbits(64))
        if isinstance(taken, Refused):
            raise _make_refusal(taken)
        return taken

    def _grant(self) -> None:
        for key in self._admission.take_ready(now_ms=self._read_clock_ms()):
            self._places[key].granted.set()
        self._changed()


def _make_refusal(refused: Refused) -> EngineError:
    return EngineError(
        _FAULTS.get(refused.code, EngineFault.OVERLOADED),
        refused.detail,
        retry_after_ms=refused.retry_after_ms or None,
        hint="ask again later or ask another peer",
    )
