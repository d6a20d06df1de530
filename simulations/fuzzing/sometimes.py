"""States that a campaign must reach at least once, or it has shown less than it seems to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from dag.types import Kind
from meshnode.core.effects import ForgetVertices, Penalise, Persist, Send, SendStored, StoreVertex
from meshnode.core.events import Alone, ForkSeen, OrderResumed, Repeated
from meshnode.core.inputs import Disconnected, Received, Rejected, Vertices
from meshnode.core.messages import Get, Heads
from simulations.fidelity import remember_vertex
from simulations.observers import Observer

if TYPE_CHECKING:
    from meshnode.core.effects import Effect
    from meshnode.core.events import Event
    from meshnode.core.inputs import Input
    from simulations.host import Host

STATES: Final = (
    "crashed",
    "crashed while publishing",
    "torn write recovered",
    "recovered with vertices",
    "restored from an old copy",
    "publication queued",
    "connection lost",
    "connection ended for silence",
    "partition healed",
    "waited in quarantine",
    "fetched by id",
    "heads compared",
    "sent what a peer lacked",
    "held for the future",
    "fork seen",
    "evidence stored",
    "own keys used elsewhere",
    "bytes refused",
    "banned",
    "not served",
    "alone",
)
PRUNING_STATES: Final = (
    "history forgotten",
    "joined from a snapshot",
    "joined after a crash",
    "said again",
)
"""Those of a campaign in which history is forgotten."""
LOOK_EVERY: Final = 16


class Sometimes(Observer):
    """Notes which states were reached."""

    def __init__(self) -> None:
        self._reached: dict[str, None] = {}
        self._gets: dict[tuple[int, int, int], None] = {}
        """Questions by host, life and number."""
        self._busy: dict[int, bool] = {}
        self._torn: dict[int, int] = {}
        self._crashed: dict[int, None] = {}
        self._inputs = 0

    @property
    def reached(self) -> tuple[str, ...]:
        """States reached, in the order of `STATES`."""
        return tuple(state for state in (*STATES, *PRUNING_STATES) if state in self._reached)

    def note(self, state: str) -> None:
        """A state was reached."""
        assert state in STATES + PRUNING_STATES, f"{state} is no state of a campaign"
        self._reached[state] = None

    def on_input(self, host: Host, entry: Input) -> None:
        """A core is about to take an input."""
        match entry:
            case Disconnected():
                self.note("connection lost")
            case Rejected():
                self.note("bytes refused")
            case Received(message=Heads()):
                self.note("heads compared")
            case Received(message=Vertices(request=request, candidates=found)):
                if request > 0 and found:
                    self._answered(host, request)
            case _:
                pass
        self._inputs += 1
        if self._inputs % LOOK_EVERY == 0:
            self._look(host)

    def _look(self, host: Host) -> None:
        view = host.summarise()
        self._busy[host.index] = view.publications_queued > 0
        for state, is_reached in (
            ("waited in quarantine", view.quarantined > 0),
            ("held for the future", view.held > 0),
            ("publication queued", view.publications_queued > 0),
            ("own keys used elsewhere", view.speech == "forked"),
        ):
            if is_reached:
                self.note(state)

    def on_effects(self, host: Host, effects: Sequence[Effect]) -> None:
        """A core has answered."""
        for effect in effects:
            match effect:
                case SendStored(request=0):
                    self.note("sent what a peer lacked")
                case Penalise():
                    self._note_offence(effect)
                case Persist(record=StoreVertex(wire=wire)):
                    if remember_vertex(wire).vertex.kind == Kind.EVIDENCE:
                        self.note("evidence stored")
                case Persist(record=ForgetVertices()):
                    self.note("history forgotten")
                case Send(message=Get(request=request)):
                    self._gets[host.index, host.life, request] = None
                case _:
                    pass

    def _note_offence(self, effect: Penalise) -> None:
        for state, is_reached in (
            ("banned", effect.ban_ms > 0),
            ("not served", effect.offence == "not_served"),
            ("connection ended for silence", effect.offence == "silent"),
        ):
            if is_reached:
                self.note(state)

    def _answered(self, host: Host, request: int) -> None:
        if (host.index, host.life, request) in self._gets:
            self.note("fetched by id")

    def on_fact(self, host: Host, event: Event) -> None:
        """An application was told something."""
        match event:
            case ForkSeen():
                self.note("fork seen")
            case Alone():
                self.note("alone")
            case OrderResumed():
                self.note("joined from a snapshot")
                if host.index in self._crashed:
                    self.note("joined after a crash")
            case Repeated():
                self.note("said again")
            case _:
                pass

    def on_crashed(self, host: Host) -> None:
        """A host has gone down."""
        self.note("crashed")
        self._crashed[host.index] = None
        if self._busy.get(host.index):
            self.note("crashed while publishing")

    def on_started(self, host: Host) -> None:
        """A host has come up."""
        if host.disk.torn > self._torn.get(host.index, 0):
            self._torn[host.index] = host.disk.torn
            self.note("torn write recovered")
        if host.view().vertices:
            self.note("recovered with vertices")
