"""One connection as the core sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from meshnode.core.inputs import Checked
from meshnode.core.messages import Advert, Hello
from meshnode.core.suspicion import Suspicion


class Phase(IntEnum):
    """How far a connection has come."""

    HANDSHAKE = 0
    READY = 1
    CLOSED = 2
    """Hung up by this side, or about to be; the transport has not yet said that it ended."""


@dataclass(slots=True, eq=False)
class Link:
    """A connection: who is at the other end, how well it answers, what it did wrong."""

    peer: str
    inbound: bool
    address: str
    since_ms: int
    nonce: bytes
    """What the other side's PROOF must cover."""
    deadline_ms: int
    """The handshake's, and later the farewell's."""
    farewell: str = ""
    """Why it is refused, while the peer reads that; then this side hangs up."""
    phase: Phase = Phase.HANDSHAKE
    hello: Hello | None = None
    signing: bool = False
    """The own PROOF is being signed, or was sent."""
    proved: bool = False
    """The own PROOF was sent."""
    proof_received: bool = False
    verified: bool = False
    """Their PROOF holds."""
    early: list[Checked] = field(default_factory=list)
    """Came between their PROOF and its verdict: they were ready a moment before."""
    name: str = ""
    heard_ms: int = 0
    ping_due_ms: int = 0
    patience_ms: int = 0
    """Silence after which this side asks for a sign of life."""
    measure_due_ms: int = 0
    """When the round trip is to be measured again, however much is heard."""
    ping_nonce: int = 0
    ping_sent_ms: int = -1
    """-1 when no PONG is awaited."""
    rtt_ms: int = -1
    credentials: int = 0
    """Profiles it brought along."""
    suspicion: Suspicion = field(default_factory=Suspicion)
    strikes: int = 0
    struck_ms: int = 0
    advert: Advert | None = None
    advert_ms: int = 0
    """When that advert came."""

    def find_ping_due(self) -> int:
        """When it has been silent for too long, or the round trip was not measured for too long."""
        return min(self.heard_ms + self.patience_ms, self.measure_due_ms)

    @property
    def author(self) -> bytes:
        """Who is at the other end; a claim until the connection is ready."""
        return b"" if self.hello is None else self.hello.author
