"""Frames that are too large, and peers that do not read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from meshnode.core import admission
from meshnode.core.inputs import Received
from meshnode.core.messages import IHave, encode_message
from meshnode.core.settings import Timing
from simulations.abuse.arena import ENDLESS, SETTLE_MS, make_mesh, tell
from simulations.abuse.rows import Row, Trial
from simulations.observers import Observer

if TYPE_CHECKING:
    from meshnode.core.inputs import Input
    from meshnode.core.messages import Message
    from simulations.host import Host

IDS: Final = 20_000
SILENT_S: Final = 120
BODY_BYTES: Final = 4_000


class _Ids(Observer):
    """Counts the announced ids that reach a core."""

    def __init__(self, host: Host) -> None:
        self.count = 0
        self._host = host
        host.world.add_observer(self)

    def on_input(self, host: Host, entry: Input) -> None:
        """See `Observer`."""
        if host is self._host and isinstance(entry, Received) and isinstance(entry.message, IHave):
            self.count += len(entry.message.ids)


def send_a_huge_frame(trial: Trial) -> int:
    """One IHAVE of 680 KB; answers how many of its ids reach the core."""
    world, (victim, attacker, *_) = make_mesh(trial.seed, 4)
    ids = _Ids(victim)
    stream = world.streams.get("ids")
    frame = encode_message(IHave(tuple(stream.randbytes(32) for _ in range(IDS))))
    tell(attacker, victim, frame)
    world.run_for(SETTLE_MS)
    return ids.count


class _Sent(Observer):
    """Counts the bytes that are sent to a host."""

    def __init__(self, receiver: Host) -> None:
        self.size_bytes = 0
        self._receiver = receiver
        receiver.world.add_observer(self)

    def on_sent(self, host: Host, target: int, message: Message, size_bytes: int) -> None:
        """See `Observer`."""
        del host, message
        if target == self._receiver.index:
            self.size_bytes += size_bytes


def read_nothing(trial: Trial) -> int:
    """A peer that stands still while 40 KB a second are said; answers the KB sent to it in 120 s."""
    timing = Timing() if trial.guarded else Timing(silent_ms=ENDLESS)
    world, (victim, attacker, *_) = make_mesh(trial.seed, 4, timing=timing)
    attacker.pause()
    sent = _Sent(attacker)
    for number in range(10 * SILENT_S):
        world.at(world.now_ms + 100 * number, victim.publish, bytes(BODY_BYTES))
    world.run_for(1_000 * SILENT_S)
    return sent.size_bytes // 1_000


def _any_number(_right: Any) -> int:
    return ENDLESS


ROWS: Final = (
    Row(
        name="oversize-frame",
        attack="an IHAVE of 680 KB with 20,000 ids",
        defence="60,000 bytes a frame, counts in every message, and a ban",
        code="meshnode/core/admission.py",
        figure="ids that reach the core",
        bound=0,
        mount=send_a_huge_frame,
        patches=(
            (admission, "FRAME_BYTES_MAX", _any_number),
            (admission, "IDS_MAX", _any_number),
        ),
    ),
    Row(
        name="slow-reader",
        attack="a peer that reads nothing while 40 KB a second are said",
        defence="nothing heard for 15 s ends the connection",
        code="meshnode/core/peers.py",
        figure="KB sent to it in 2 minutes",
        bound=1_000,
        mount=read_nothing,
    ),
)
