"""What the router learns of one attempt: when it left, its first word, its pace, its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meshnode.engines.base import EngineError
from meshnode.errors import DeadlineExceeded, InvalidMessage, MeshError, TransportError
from meshnode.routing.faults import Fault
from meshnode.serving.dispatcher import draw

if TYPE_CHECKING:
    from meshnode.serving.dispatcher import Dispatcher
    from meshnode.serving.port import MeshPort
    from meshnode.serving.target import Placed

PATIENCE_MS: Final = 10_000
"""Who gives up sooner than this has learned nothing about a peer."""


class Errand:
    """One attempt's ticket at the router."""

    def __init__(self, port: MeshPort, dispatcher: Dispatcher, placed: Placed) -> None:
        self._port = port
        self._router = dispatcher.router
        self._begun_ms = port.read_clock_ms()
        self.ticket: Final = (
            None
            if placed.candidate is None
            else self._router.on_sent(placed.query, placed.candidate, now_ms=self._begun_ms)
        )

    def note_token(self, *, first: bool) -> None:
        """A piece of the answer with something in it has come."""
        if self.ticket is None:
            return
        now_ms = self._port.read_clock_ms()
        if first:
            self._router.on_first_token(self.ticket, now_ms=now_ms)
        else:
            self._router.on_tokens(self.ticket, now_ms=now_ms)

    def finish(self, output_tokens: int) -> None:
        """The answer is complete."""
        if self.ticket is not None:
            self._router.on_finished(
                self.ticket, now_ms=self._port.read_clock_ms(), output_tokens=output_tokens
            )

    def fail(self, error: MeshError) -> Fault | None:
        """The attempt has failed; what that is to the router, None where it says nothing."""
        fault = classify(error)
        now_ms = self._port.read_clock_ms()
        if isinstance(error, DeadlineExceeded) and now_ms - self._begun_ms < PATIENCE_MS:
            fault = None
        if self.ticket is None:
            return fault
        if fault is None:
            self._router.on_cancelled(self.ticket, now_ms=now_ms)
            return None
        retry_after_ms = error.retry_after_ms or 0 if isinstance(error, EngineError) else 0
        self._router.on_failure(
            self.ticket, fault, now_ms=now_ms, draw=draw(), retry_after_ms=retry_after_ms
        )
        return fault

    def cancel(self) -> None:
        """Nobody wants the answer any more. Harmless once the attempt has ended."""
        if self.ticket is not None:
            self._router.on_cancelled(self.ticket, now_ms=self._port.read_clock_ms())

    def get_hedge_delay_ms(self) -> int | None:
        """When to ask somebody else as well; None for never."""
        return None if self.ticket is None else self._router.hedge_delay_ms(self.ticket)


def classify(error: MeshError) -> Fault | None:
    """A failure in the router's words; None for one that is not a replica's."""
    if isinstance(error, EngineError):
        return Fault(error.fault.value)
    if isinstance(error, InvalidMessage):
        return Fault.MALFORMED
    if isinstance(error, TransportError):
        return Fault.UNREACHABLE
    if isinstance(error, DeadlineExceeded):
        return Fault.TIMEOUT
    return None
