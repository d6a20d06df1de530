"""Streams whose frames are sealed, where both peers have keys for it; and never less than that.

Whether a stream is sealed follows from the two profiles, which their authors have signed, and from
nothing that is said on the stream: there is no offer that somebody in between could strike out. The
asking side seals, or does not ask. The serving side refuses a question in the open of a peer that
could have sealed it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from meshnode.engines.base import EngineError, EngineFault
from meshnode.errors import MalformedMessage, PeerGone
from meshnode.sealed.handshake import SEED_BYTES, Asking, Binding, Open, accept_open
from meshnode.sealed.keys import SealingKeys
from meshnode.sealed.replays import ReplayWindow
from meshnode.serving.protocol import SERVING_VERSION, Refuse, encode_frame
from meshnode.serving.sealed_stream import AskingStream, ServingStream

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshnode.sealed.ring import KeyRing
    from meshnode.serving.port import MeshPort
    from meshnode.serving.sealed_stream import SealRefused
    from meshnode.transport.base import FrameStream

RENEWED_MAX: Final = 1_024
"""Newer keys of peers, told by themselves, of which the own store has not heard yet."""
SESSIONS_MAX: Final = 4_096
"""Connections whose streams are counted; more than a node has at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counterpart:
    """A connected member, as far as sealing goes."""

    author: bytes
    keys: SealingKeys | None
    """What its newest profile names; None for one that cannot receive sealed content."""
    seq: int
    """Of that profile; -1 where only genesis tells."""
    session: bytes
    """What the HELLOs of its connection made sure is new."""


class SealingDirectory(Protocol):
    """What sealing needs to know of the mesh."""

    def find_counterpart(self, peer: str) -> Counterpart | None:
        """A ready peer; None for anybody else."""

    async def read_profile(self) -> bytes:
        """Wire bytes of the own newest profile vertex; empty where none is out yet."""

    def check_profile(self, author: bytes, wire: bytes) -> tuple[int, SealingKeys | None]:
        """Seq and keys of a profile vertex that this author has signed. Raises `InvalidMessage`."""


@dataclass(slots=True)
class SealingFigures:
    """What has been sealed since the start."""

    asked: int = 0
    """Streams of this node that were sealed."""
    answered: int = 0
    """Streams of peers that were."""
    refused_keys: int = 0
    """Streams that were sealed to a key that is gone."""
    refused_open: int = 0
    """Questions in the open of peers that could have sealed them."""
    refused_replays: int = 0


@dataclass(slots=True)
class _Session:
    name: bytes
    asked: int = 0
    heard: ReplayWindow = field(default_factory=ReplayWindow)


class Sealing:
    """Seals the streams of one node."""

    def __init__(
        self,
        *,
        network: bytes,
        author: bytes,
        transport: str,
        directory: SealingDirectory,
        ring: KeyRing,
        draw: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._network = network
        self._author = author
        self._transport = transport
        self._directory = directory
        self._ring = ring
        self._draw = draw
        self._sessions: dict[str, _Session] = {}
        self._renewed: dict[bytes, tuple[int, SealingKeys]] = {}
        self.figures: Final = SealingFigures()

    @property
    def ring(self) -> KeyRing:
        """The own keys."""
        return self._ring

    def set_ring(self, ring: KeyRing) -> None:
        """Own keys have been made or erased."""
        self._ring = ring

    def can_seal(self, peer: str) -> bool:
        """Whether what is asked of a peer is sealed; False for one that is gone."""
        counterpart = self._directory.find_counterpart(peer)
        return (
            self._ring.current_keys is not None
            and counterpart is not None
            and self._find_keys(counterpart) is not None
        )

    # --- asking ----------------------------------------------------------------------------------

    async def open(self, stream: FrameStream) -> FrameStream:
        """Begin a fresh stream to a peer: sealed, or as it is where one side cannot.

        Raises `TransportError`, and `InvalidMessage` where the peer's profile names no real keys.
        """
        counterpart, keys = self._require(stream.peer)
        if keys is None or self._ring.current_keys is None:
            return stream
        session = self._get_session(stream.peer, counterpart)
        session.asked += 1
        asking = Asking(
            self._bind(counterpart, stream.peer, is_asker=True),
            ring=self._ring,
            server=keys,
            version=SERVING_VERSION,
            number=session.asked,
            seed=self._draw(SEED_BYTES),
        )
        await stream.send(encode_frame(asking.open))
        self.figures.asked += 1
        return AskingStream(stream, asking)

    def learn(self, peer: str, refused: SealRefused) -> None:
        """Take newer keys from the profile that a peer refused with.

        Raises the refusal where it came with no newer one: nobody may bring back keys of before.
        Raises `InvalidMessage` for what is no profile of that peer.
        """
        counterpart, known = self._require(peer)
        if not refused.profile:
            raise refused
        seq, keys = self._directory.check_profile(counterpart.author, refused.profile)
        before = self._renewed.get(counterpart.author, (counterpart.seq, None))[0]
        if keys is None or keys == known or seq <= max(before, counterpart.seq):
            raise refused
        self._renewed[counterpart.author] = (seq, keys)
        if len(self._renewed) > RENEWED_MAX:
            del self._renewed[next(iter(self._renewed))]

    # --- serving ---------------------------------------------------------------------------------

    async def accept(self, stream: FrameStream, first: Open) -> FrameStream | None:
        """Answer the first frame of a sealed stream; None where that was to refuse it.

        Raises `InvalidMessage` for what is no such frame, and `StreamReset`.
        """
        counterpart, keys = self._require(stream.peer)
        if keys is None:
            raise MalformedMessage("sealed content of a peer whose profile names no keys")
        found = self._ring.find(first.server_key)
        if found is None:
            self.figures.refused_keys += 1
            await stream.send(encode_frame(Refuse(await self._directory.read_profile())))
            return None
        if not self._get_session(stream.peer, counterpart).heard.take(first.number):
            self.figures.refused_replays += 1
            raise MalformedMessage(f"sealed stream {first.number} was opened before")
        own, own_keys = found
        accept, stream_keys = accept_open(
            self._bind(counterpart, stream.peer, is_asker=False),
            first,
            own=own,
            own_keys=own_keys,
            asker=keys,
            seed=self._draw(SEED_BYTES),
        )
        await stream.send(encode_frame(accept))
        self.figures.answered += 1
        return ServingStream(stream, stream_keys)

    def check_open(self, peer: str) -> None:
        """A question came in the open. Raises `EngineError` where it could have been sealed."""
        if self.can_seal(peer):
            self.figures.refused_open += 1
            raise EngineError(
                EngineFault.FORBIDDEN,
                "this peer takes sealed questions only from whoever can seal",
                hint="both sides need a version that seals",
            )

    # --- inside ----------------------------------------------------------------------------------

    def _require(self, peer: str) -> tuple[Counterpart, SealingKeys | None]:
        """A peer and its newest keys. Raises `PeerGone`: nothing is sent in the open for want of it."""
        counterpart = self._directory.find_counterpart(peer)
        if counterpart is None:
            raise PeerGone(f"{peer} is no connected member")
        return counterpart, self._find_keys(counterpart)

    def _find_keys(self, counterpart: Counterpart) -> SealingKeys | None:
        """Its newest keys, as the mesh tells them, or as it told itself since."""
        renewed = self._renewed.get(counterpart.author)
        if renewed is None:
            return counterpart.keys
        if counterpart.seq < renewed[0]:
            return renewed[1]
        del self._renewed[counterpart.author]
        return counterpart.keys

    def _get_session(self, peer: str, counterpart: Counterpart) -> _Session:
        session = self._sessions.pop(peer, None)
        if session is None or session.name != counterpart.session:
            session = _Session(counterpart.session)
        self._sessions[peer] = session
        if len(self._sessions) > SESSIONS_MAX:
            del self._sessions[next(iter(self._sessions))]
        return session

    def _bind(self, counterpart: Counterpart, peer: str, *, is_asker: bool) -> Binding:
        here, there = (self._author, self._transport), (counterpart.author, str(peer))
        asker, server = (here, there) if is_asker else (there, here)
        return Binding(
            network=self._network,
            asker=asker[0],
            server=server[0],
            asker_transport=asker[1],
            server_transport=server[1],
            session=counterpart.session,
        )


async def open_sealed(port: MeshPort, peer: str) -> FrameStream:
    """Open a stream to a peer, sealed where both can. Raises `TransportError`, `InvalidMessage`."""
    stream = await port.open_stream(peer)
    if port.sealing is None:
        return stream
    try:
        return await port.sealing.open(stream)
    except BaseException:
        stream.reset()
        raise


def learn_keys(port: MeshPort, peer: str, refused: SealRefused) -> None:
    """Take up the keys that a refusal came with. Raises `InvalidMessage` where it came with none."""
    assert port.sealing is not None, "only sealed content is refused so"
    port.sealing.learn(peer, refused)
