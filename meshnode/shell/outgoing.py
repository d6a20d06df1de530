"""What goes out on the channels: each message is encoded once, pushes that stand together are one.

A node that publishes quickly signs several vertices in one batch. As one message they cost their
receivers one frame and one turn of the core instead of one each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshnode.core.messages import Push, encode_message
from meshnode.shell.packing import pack
from meshnode.transport.base import Channel, PeerId

if TYPE_CHECKING:
    from meshnode.core.effects import Send
    from meshnode.core.messages import Message
    from meshnode.shell.telemetry import Telemetry
    from meshnode.transport.base import Transport


class Outgoing:
    """Sends what the core sends, in its order. `flush` when no more is to be said at once."""

    def __init__(self, transport: Transport, telemetry: Telemetry) -> None:
        self._transport = transport
        self._telemetry = telemetry
        self._wires: list[bytes] = []
        """Of pushes that wait for another one to the same peers."""
        self._to: tuple[str, ...] = ()
        self._channel = 0

    def send(self, effect: Send) -> None:
        """Send a message; a push may wait until `flush`, or until something else is sent."""
        message = effect.message
        if not isinstance(message, Push):
            self.flush()
            self._send(effect.to, effect.channel, message)
            return
        if effect.to != self._to or effect.channel != self._channel:
            self.flush()
            self._to, self._channel = effect.to, effect.channel
        self._wires += message.vertices

    def flush(self) -> None:
        """Send the pushes that wait."""
        if self._wires:
            wires, self._wires = self._wires, []
            for part in pack(wires):
                self._send(self._to, self._channel, Push(tuple(part)))

    def _send(self, to: tuple[str, ...], channel_number: int, message: Message) -> None:
        frames = (encode_message(message),)
        kind = type(message).__name__.lower()
        channel = Channel(channel_number)
        for peer in to:
            # A peer that is full or gone misses this message; reconciliation brings what it carried.
            if self._transport.send(PeerId(peer), channel, frames):
                self._telemetry.count("frames_sent")
                self._telemetry.count_message(kind, len(frames[0]))
            else:
                self._telemetry.count("frames_not_taken")
