"""What belongs to the handshake: which messages do, and credentials in parts that fit a frame."""

from __future__ import annotations

from typing import Final

from meshnode.core.admission import CREDENTIALS_REQUEST
from meshnode.core.inputs import Checked, Vertices
from meshnode.core.messages import Hello, Proof

CREDENTIALS_BYTES_MAX: Final = 48_000
"""Profiles put into one message."""


def split_credentials(wires: tuple[bytes, ...]) -> list[tuple[bytes, ...]]:
    """Profiles in parts that each fit a frame."""
    parts: list[list[bytes]] = []
    size_bytes = 0
    for wire in wires:
        size_bytes += len(wire)
        if not parts or size_bytes > CREDENTIALS_BYTES_MAX:
            parts.append([])
            size_bytes = len(wire)
        parts[-1].append(wire)
    return [tuple(part) for part in parts]


def is_handshake(message: Checked) -> bool:
    """Whether a message is for the time before a connection is ready."""
    return isinstance(message, Hello | Proof) or (
        isinstance(message, Vertices) and message.request == CREDENTIALS_REQUEST
    )
