"""What peers say to each other, byte by byte.

Every message is a MessagePack array whose first element is its tag. Limits are checked by
`meshnode.core.admission` before anything here reaches the node. Docs of a message say what the
receiver does with it.
"""

from __future__ import annotations

from typing import Final

import msgspec

from dag.types import Horizon, Ref

PROTOCOL_VERSION: Final = 1
IDS_MAX: Final = 512
"""Ids in one IHAVE; larger sets are split."""
GET_IDS_MAX: Final = 64
HEADS_MAX: Final = 64
CREDENTIALS_MAX: Final = 16
"""Longest chain of invitations a HELLO may need."""
MODELS_MAX: Final = 64
BASIS_POINTS: Final = 10_000
TEXT_MAX: Final = 256
"""Longest free text (agent names, reasons, model ids), in characters."""
ADDRESSES_MAX: Final = 8
PEERS_MAX: Final = 8
"""Members one message may suggest as neighbours."""
RANGES_ASKED_MAX: Final = 512
"""Ranges in a question of RANGES: each costs the other side a fingerprint."""
RANGES_ANSWERED_MAX: Final = 2_048
SNAPSHOT_DATA_BYTES: Final = 48_000
"""Of a snapshot, in one message."""
SNAPSHOT_ANSWER_BYTES: Final = 1_048_576
"""Of a snapshot, sent for one question."""
SNAPSHOT_SECTIONS_MAX: Final = 513
"""A chain of headers, and the parts of a snapshot."""


class _Wire(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    pass


class Hello(_Wire, frozen=True, tag=1):
    """First message of both sides. The receiver checks version and network and answers PROOF."""

    version: int
    network: bytes
    author: bytes
    nonce: bytes
    """32 fresh bytes that the other side's PROOF must cover."""
    agent: str
    addresses: tuple[str, ...]
    """Where this peer can be dialled."""
    expects: bytes = b""
    """Author that the sender takes the receiver for, and whose profile it holds; empty for none.
    That author shows no CREDENTIALS."""


class Credentials(_Wire, frozen=True, tag=2):
    """Signed profile vertices from a founder's guest down to the sender, before its PROOF.

    Sent to who has not said in its HELLO that it holds the last of them. Founders send none: their keys stand in the genesis. The receiver admits them like any vertex,
    but for those of authors it knows. Several messages where one frame does not hold them.
    """

    profiles: tuple[bytes, ...]


class Proof(_Wire, frozen=True, tag=3):
    """Suite signature over (network, both transport ids, both nonces): the sender is its author."""

    signature: bytes


class Goodbye(_Wire, frozen=True, tag=4):
    """A polite end; the receiver expects no more and does not count the end as a failure."""

    reason: str


class Digest(_Wire, frozen=True, tag=5):
    """What the sender holds, in 48 bytes; unequal for a second leads to HEADS."""

    heads: bytes
    """SHA-256 under its domain of the sorted heads."""
    count: int
    lamport: int


class Ping(_Wire, frozen=True, tag=6):
    """Answer with PONG at once."""

    nonce: int


class Pong(_Wire, frozen=True, tag=7):
    """Answers PING; carries the digest so that idle peers still compare."""

    nonce: int
    digest: Digest
    time_ms: int
    """The sender's clock; a large median offset warns, nothing more."""


class Push(_Wire, frozen=True, tag=8):
    """Signed vertices the receiver is believed to lack, parents before children."""

    vertices: tuple[bytes, ...]


class IHave(_Wire, frozen=True, tag=9):
    """Ids of vertices the sender holds; what is still missing after a while is pulled with GET."""

    ids: tuple[bytes, ...]


class Get(_Wire, frozen=True, tag=10):
    """Send these vertices in ITEMS on the bulk channel, parents before children."""

    request: int
    ids: tuple[bytes, ...]
    """Ids, or cut references of 24 bytes where no more is known."""


class GetProfiles(_Wire, frozen=True, tag=11):
    """Send the first profile vertex of these authors, in ITEMS."""

    request: int
    authors: tuple[bytes, ...]


class GetLast(_Wire, frozen=True, tag=12):
    """Send the last vertex of both lanes of an author, in ITEMS; asked after every start."""

    request: int
    author: bytes


class Items(_Wire, frozen=True, tag=13):
    """Answer to a GET of any kind; `missing` names what is not held, `last` ends the answer."""

    request: int
    vertices: tuple[bytes, ...]
    missing: tuple[bytes, ...]
    pruned_commit: int
    """0, or the commit up to which history was pruned: an honest reason for `missing`."""
    last: bool


class Heads(_Wire, frozen=True, tag=14):
    """The sender's heads; the receiver pushes what the sender lacks, or fetches what it lacks."""

    heads: tuple[Ref, ...]
    """Ascending. The heads, and beside them a few vertices at ever wider distances below: where the
    receiver knows one of these, it knows that the sender holds everything below it. Where there
    are more heads than fit, those of the highest lamports."""
    digest: Digest
    reply: bool
    """Whether the sender wants the receiver's heads in return."""
    lacks: bool = False
    """Whether the sender lacks some of what the HEADS named that this answers. Where the other side
    lacks something too, it asks with RANGES; where not, it sends what is lacking."""


class ModelAdvert(_Wire, frozen=True):
    """A model a peer serves."""

    id: str
    revision: str
    context_tokens: int
    tools: bool
    engine: str
    label: str
    size_bytes: int = 0
    """Of its weights; 0 where unknown."""
    thinking: bool = False
    """Whether it thinks before it answers."""


class Advert(_Wire, frozen=True, tag=15):
    """What the sender serves to others, and how busy it is, replacing its earlier advert.

    Said again every few seconds while anything is served: it is believed for half a minute.
    """

    sequence: int
    """Counts the sender's reports of one incarnation: older ones of a connection are ignored."""
    models: tuple[ModelAdvert, ...]
    slots: int
    running: int
    queued: int
    draining: bool
    incarnation: int = 0
    """When the sender's engine started, in Unix milliseconds: a restarted one begins anew."""
    queued_prefill_tokens: int = 0
    """Prompt tokens of requests that have no token yet, waiting or running."""
    kv_usage_bp: int = 0
    """How full the memory for contexts is, in basis points."""
    shareable: bool = True
    """Whether its engine may serve others at all: one that is somebody's account never does."""


# 16 is left out: records of inputs use it for checked vertices.


class Neighbour(_Wire, frozen=True, tag=17):
    """The sender, who has dialled, wants to keep this connection; refused with DISCONNECT."""

    urgent: bool
    """It has no other neighbour: the receiver lets one of those that dialled it go for this one."""


class Disconnect(_Wire, frozen=True, tag=18):
    """The sender has no place for this connection: the receiver ends it, and tries others first."""

    peers: tuple[bytes, ...]
    """Authors of other members that the sender knows of."""


class Shuffle(_Wire, frozen=True, tag=19):
    """A sample of the members that the sender knows of; answered with SHUFFLE_REPLY."""

    peers: tuple[bytes, ...]


class ShuffleReply(_Wire, frozen=True, tag=20):
    """The receiver's own sample, no larger than the one it answers."""

    peers: tuple[bytes, ...]


class Graft(_Wire, frozen=True, tag=21):
    """From now on both sides push over this connection what they admit, at once."""


class Prune(_Wire, frozen=True, tag=22):
    """From now on both sides announce over this connection, and push only what is their own."""


class Range(_Wire, frozen=True):
    """What a store holds from where the range before ended to below `upper`."""

    upper: bytes
    data: bytes | None
    """A fingerprint of 16 bytes; in answers also cut references of 24 bytes each, ascending, that
    name all there is. None where both sides hold the same, or where nothing is asked."""


class Ranges(_Wire, frozen=True, tag=23):
    """Ranges of the sender's store. A question is answered from what it says, nothing is remembered.

    Where fingerprints are equal, so are the ranges; a small range is answered with what it holds, a
    larger one with the fingerprints of its parts. Whoever asked continues where those differ. An
    answer may end before the question does, and one without ranges found no difference.
    """

    session: int
    """Chosen by whoever asks, and repeated in the answer."""
    answer: bool
    lower: bytes
    """Where the first range begins. A bound is the beginning of a key: a lamport in 8 bytes, then the
    id."""
    ranges: tuple[Range, ...]


class Checkpoint(_Wire, frozen=True, tag=24):
    """The newest checkpoint the sender knows to be certified; sent when it changes, and first of all.

    The sender holds nothing at or below the floor of its lane to be compared, and needs nothing of it. Who lags
    far behind asks for the snapshot.
    """

    index: int
    root: bytes
    floor: Horizon


class GetSnapshot(_Wire, frozen=True, tag=25):
    """Send a section of a snapshot from an offset on, in SNAPSHOT on the bulk channel.

    Section 0 is the chain of certified headers, section n the part n - 1 of the last of them.
    """

    request: int
    index: int
    section: int
    offset: int


class Snapshot(_Wire, frozen=True, tag=26):
    """A piece of a section; `last` ends the answer, not the section."""

    request: int
    size_bytes: int
    """Of the whole section; 0 where the sender does not hold it."""
    offset: int
    data: bytes
    last: bool


Message = (
    Hello
    | Credentials
    | Proof
    | Goodbye
    | Digest
    | Ping
    | Pong
    | Push
    | IHave
    | Get
    | GetProfiles
    | GetLast
    | Items
    | Heads
    | Advert
    | Neighbour
    | Disconnect
    | Shuffle
    | ShuffleReply
    | Graft
    | Prune
    | Ranges
    | Checkpoint
    | GetSnapshot
    | Snapshot
)

_encoder: Final = msgspec.msgpack.Encoder()


def encode_message(message: Message) -> bytes:
    """Write a message's frame payload."""
    return _encoder.encode(message)


PROOF_DOMAIN: Final = b"meshnode/hello-proof/1"


def compute_proof_message(
    network: bytes, own_transport: str, own_nonce: bytes, their_transport: str, their_nonce: bytes
) -> bytes:
    """The bytes a PROOF's signature covers, from the signer's side: it names itself first."""
    return (
        PROOF_DOMAIN
        + b"\x00"
        + _encoder.encode((network, own_transport, own_nonce, their_transport, their_nonce))
    )
