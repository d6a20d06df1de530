"""What serving and asking need of the node they run in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from meshnode.core.messages import ModelAdvert

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from dag.bodies import BlobRef
    from dag.genesis import Share
    from dag.vertex import SignedVertex
    from meshnode.core.commands import Serve
    from meshnode.errors import InvalidMessage
    from meshnode.serving.desk import Piece, Progress
    from meshnode.serving.protocol import Countersign, Invoice, PaidAsk
    from meshnode.serving.sealing import Sealing
    from meshnode.shell.placement_table import Placement
    from meshnode.transport.base import FrameStream


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingPeer:
    """A ready peer and its newest advert."""

    peer: str
    author: bytes
    name: str
    models: tuple[ModelAdvert, ...] = ()
    slots: int = 0
    running: int = 0
    queued: int = 0
    draining: bool = False
    incarnation: int = 0
    sequence: int = 0
    queued_prefill_tokens: int = 0
    kv_usage_bp: int = 0
    shareable: bool = True
    reported_ms: int | None = None
    """When that advert came, on the clock of the port; None where none did."""
    heard_ms: int = 0
    """When its connection was last heard. Whatever changes is said at once, and in order: what comes
    behind an advert says that it still holds."""
    rtt_ms: int | None = None
    """The newest measured round trip."""


class MeshPort(Protocol):
    """A node as serving sees it."""

    @property
    def author(self) -> bytes:
        """Own author id."""

    @property
    def network(self) -> bytes:
        """The network's id."""

    @property
    def peer(self) -> str:
        """Own transport id."""

    @property
    def name(self) -> str:
        """Own name, for people."""

    @property
    def sealing(self) -> Sealing | None:
        """What seals the streams of this node; None where it has no keys for that."""

    @property
    def share(self) -> Share:
        """The network's rule on what result vertices show."""

    def find_member(self, peer: str) -> bytes | None:
        """The author behind a ready peer; None for anybody else."""

    def list_serving_peers(self) -> Sequence[ServingPeer]:
        """Every ready peer."""

    async def follow_peers(self, on_change: Callable[[], None]) -> None:
        """Call once now, and whenever a peer has become ready, has gone, or says what it serves.

        Until it is cancelled, or the node ends.
        """

    async def connect(self, author: bytes, *, timeout_ms: int) -> ServingPeer | None:
        """A member as a ready peer, dialled if need be; None where it cannot be reached in time."""

    async def open_stream(self, peer: str) -> FrameStream:
        """Open a stream to a ready peer. Raises `TransportError`."""

    async def publish(self, kind: int, body: bytes, knowledge: tuple[bytes, ...]) -> SignedVertex:
        """Author a vertex; returns once it is durable. Raises `CommandRejected`."""

    async def keep_blob(self, content: bytes, *, media_type: str) -> BlobRef | None:
        """Keep content that a vertex is about to name; None where there is no room for it."""

    async def find_vertex(self, vertex_id: bytes, *, timeout_ms: int) -> SignedVertex | None:
        """A vertex from the own store; waits that long for it to arrive."""

    async def advertise(self, serve: Serve) -> None:
        """Tell peers what this node serves."""

    def note_placement(self, placement: Placement) -> None:
        """Write down where a question went, or why it was not placed; returns at once."""

    def report_offence(self, peer: str, error: InvalidMessage) -> None:
        """Count what a peer did wrong on a stream."""

    def read_clock_ms(self) -> int:
        """Milliseconds that never go back."""


class Delivery(Protocol):
    """One answer that is paid for, at the side that gives it."""

    @property
    def model(self) -> str:
        """The model of the own engine that the contract is for."""

    def begin(self, body: bytes, request: Mapping[str, Any]) -> None:
        """The question has arrived whole."""

    def meter(
        self, progress: AsyncGenerator[Progress, None]
    ) -> AsyncGenerator[Progress | Invoice, None]:
        """The answer with its invoices between; it waits where signatures are owed.

        Raises `EngineError` when they stay away, or when the contract pays for no more.
        """

    async def countersign(self, frame: Countersign) -> None:
        """The asking side has signed. Raises `InvalidMessage` for what is no signature of it."""

    def close(self) -> None:
        """The stream is over, however it ended."""


class Deliveries(Protocol):
    """Contracts that this node has taken, as serving sees them."""

    async def open(self, ask: PaidAsk, requester: bytes) -> Delivery:
        """Begin the one answer of a contract. Raises `MeshError` where none is owed."""


class Payer(Protocol):
    """One answer that is paid for, at the side that asks."""

    @property
    def contract(self) -> bytes:
        """What pays."""

    @property
    def salt(self) -> bytes:
        """Begins the transcript."""

    def begin(self, body: bytes, request: Mapping[str, Any]) -> None:
        """The question goes out."""

    def receive(self, piece: Piece) -> None:
        """A piece of the answer has come."""

    async def countersign(self, invoice: Invoice) -> Countersign | None:
        """The signature on an invoice, None for one that says nothing new.

        Raises `InvalidMessage` for one that is not so.
        """
