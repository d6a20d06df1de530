"""A minimal gossip node that carries real vertices: signed, encoded, checked at the real door.

It is what large simulations of dissemination start from: hundreds of thousands of deliveries per
second, where the whole core makes tens of thousands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dag.authors import AuthorRegistry
from dag.canonical import encode
from dag.genesis import Genesis, compute_network_id
from dag.identity import sign_vertex
from dag.types import LANE_SPEECH, WIRE_VERSION, Kind
from dag.vertex import Vertex
from meshnode.core.inputs import Vertices
from meshnode.core.messages import Push, encode_message
from simulations.fidelity import Fidelity, make_admission
from simulations.identities import START_MS, Identity

if TYPE_CHECKING:
    from simulations.process import Context


class GossipNode:
    """Checks a frame of vertices when it comes first, and passes it on to its neighbours."""

    __slots__ = ("_admission", "_frames", "receptions", "stored")

    def __init__(self, genesis: Genesis, authors: AuthorRegistry, fidelity: Fidelity) -> None:
        """Make a node; `authors` may be shared, for it is only read."""
        self.stored: dict[bytes, None] = {}
        """Ids of the vertices it holds."""
        self.receptions = 0
        self._frames: dict[bytes, None] = {}
        self._admission = make_admission(
            fidelity, compute_network_id(genesis), genesis.suite, authors, self.stored.__contains__
        )

    def on_start(self, context: Context) -> None:
        """See `Process`."""

    def on_message(self, context: Context, source: int, message: Any) -> None:
        """See `Process`. Raises `InvalidMessage`: nobody here lies."""
        self.receptions += 1
        if message not in self._frames:
            self._take(message)
            context.send_all(message, len(message), but=source)

    def on_timer(self, context: Context, name: str) -> None:
        """See `Process`."""

    def originate(self, context: Context, frame: bytes) -> None:
        """Be the first to have a frame."""
        self._take(frame)
        context.send_all(frame, len(frame))

    def _take(self, frame: bytes) -> None:
        self._frames[frame] = None
        checked = self._admission.check(frame)
        assert isinstance(checked, Vertices), "gossip carries vertices"
        for candidate in checked.candidates:
            self.stored[candidate.signed.id] = None


def make_frames(genesis: Genesis, identities: Sequence[Identity], body_bytes: int) -> list[bytes]:
    """One frame per author, each with that author's first vertex: a signed note."""
    network = compute_network_id(genesis)
    frames = []
    for number, identity in enumerate(identities):
        body = number.to_bytes(4, "big") * (body_bytes // 4)
        vertex = Vertex(
            version=WIRE_VERSION,
            network=network,
            author=identity.author,
            lane=LANE_SPEECH,
            seq=0,
            lamport=1,
            kind=Kind.NOTE,
            time_ms=START_MS,
            parents=(),
            body=encode(body),
        )
        signed = sign_vertex(identity.secrets, genesis.suite, vertex)
        frames.append(encode_message(Push((signed.wire,))))
    return frames
