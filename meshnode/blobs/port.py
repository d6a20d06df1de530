"""What blobs need of the node they live in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshnode.errors import InvalidMessage
    from meshnode.serving.port import ServingPeer
    from meshnode.transport.base import FrameStream


class BlobPort(Protocol):
    """A node as blobs see it."""

    @property
    def author(self) -> bytes:
        """Own author id."""

    def find_member(self, peer: str) -> bytes | None:
        """The author behind a ready peer; None for anybody else."""

    def list_serving_peers(self) -> Sequence[ServingPeer]:
        """Every ready peer."""

    async def connect(self, author: bytes, *, timeout_ms: int) -> ServingPeer | None:
        """A member as a ready peer, dialled if need be; None where it cannot be reached in time."""

    async def open_stream(self, peer: str) -> FrameStream:
        """Open a stream to a ready peer. Raises `TransportError`."""

    def report_offence(self, peer: str, error: InvalidMessage) -> None:
        """Count what a peer did wrong on a stream."""

    def read_clock_ms(self) -> int:
        """Milliseconds that never go back."""
