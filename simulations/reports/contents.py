"""What a message under way is called, and which vertices it carries."""

from __future__ import annotations

import hashlib
from typing import Any, Final, NamedTuple

import msgspec

from dag.errors import InvalidMessage
from meshnode.core.messages import Items, Push
from simulations.fidelity import remember_vertex
from simulations.links import Link

NAME_MAX: Final = 40


class Contents(NamedTuple):
    """A message in short."""

    name: str
    """What kind of message it is."""
    items: tuple[str, ...]
    """Ids of what it spreads: vertices, or for nodes of other behaviours the message itself."""


def describe(message: Any) -> Contents:
    """Look into a message of a core or of any other behaviour."""
    if isinstance(message, tuple) and len(message) == 4 and isinstance(message[0], Link):
        return _describe_core(message[2])
    if isinstance(message, bytes):
        return Contents("frame", (hashlib.sha256(message).hexdigest(),))
    if isinstance(message, int | str):
        return Contents("message", (str(message)[:NAME_MAX],))
    name = type(message).__name__ if message is not None else "message"
    return Contents(name, (name,))


def _describe_core(message: msgspec.Struct | None) -> Contents:
    if message is None:
        return Contents("raw bytes", ())
    items = _name_vertices(message.vertices) if isinstance(message, Push | Items) else ()
    return Contents(type(message).__name__, items)


def _name_vertices(wires: tuple[bytes, ...]) -> tuple[str, ...]:
    names = []
    for wire in wires:
        try:
            names.append(remember_vertex(wire).id.hex())
        except InvalidMessage:  # a liar's
            continue
    return tuple(names)
