"""What the local application may ask of the core."""

from __future__ import annotations

import msgspec

from meshnode.core.messages import ModelAdvert


class Publish(msgspec.Struct, frozen=True, tag=True):
    """Author a lane-0 vertex. Ends in `Published`, or is rejected with nothing changed."""

    kind: int
    body: bytes
    knowledge: tuple[bytes, ...] = ()
    """Ids of vertices this one builds on: parents, after the author's own last one. At most 6."""


class Renew(msgspec.Struct, frozen=True, tag=True):
    """Say from now on this profile: other sealing keys, addresses or another name.

    It is published when own vertices may be, unless the last one says the same.
    """

    profile: bytes
    """Body of a profile vertex, with this node's own signing and transport keys."""


class Serve(msgspec.Struct, frozen=True, tag=True):
    """Advertise what this node serves to others; replaces the earlier advert.

    `incarnation` and `sequence` order its reports, those that travel with answers among them; with
    no sequence the core goes on counting.
    """

    models: tuple[ModelAdvert, ...]
    slots: int
    running: int
    queued: int
    draining: bool
    incarnation: int = 0
    sequence: int = 0
    queued_prefill_tokens: int = 0
    kv_usage_bp: int = 0
    shareable: bool = True


class Connect(msgspec.Struct, frozen=True, tag=True):
    """Keep a connection to a peer at these addresses (a ticket's, an operator's)."""

    peer: str
    addresses: tuple[str, ...]


class Found(msgspec.Struct, frozen=True, tag=True):
    """A peer was seen at these addresses: worth a dial where it has no connection, and no more.

    `signed` where the peer itself said so, in its newest signed record.
    """

    peer: str
    addresses: tuple[str, ...]
    signed: bool = False


class Leave(msgspec.Struct, frozen=True, tag=True):
    """Say goodbye to every peer; the shell closes afterwards."""

    reason: str


Command = Publish | Renew | Serve | Connect | Found | Leave
