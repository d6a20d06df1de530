"""From a frame's bytes to a checked message: the only door by which peers' bytes enter.

Everything a message or a vertex shows by itself is checked here: form, limits, network, shape and
signatures. It reads three things of the node, whether an id is stored, an author's keys, and whether a
peer's pushes are worth their signatures, and changes nothing. So frames can be checked in worker threads while the core runs: an answer that is a
moment old only sends a vertex the longer way, by the core's own look-up.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final, assert_never

import msgspec

from dag.authors import find_keys
from dag.errors import MalformedMessage, MessageTooLarge, WrongNetwork
from dag.identity import verify_vertex
from dag.ranges import CUT_REF_BYTES, END, FINGERPRINT_BYTES, LEAF_REFS_MAX, split_cut_refs
from dag.types import COUNTER_MAX, ID_BYTES
from dag.vertex import SignedVertex, decode_signed
from meshnode.core.inputs import Candidate, Checked, Standing, Vertices
from meshnode.core.messages import (
    ADDRESSES_MAX,
    BASIS_POINTS,
    CREDENTIALS_MAX,
    GET_IDS_MAX,
    HEADS_MAX,
    IDS_MAX,
    MODELS_MAX,
    PEERS_MAX,
    RANGES_ANSWERED_MAX,
    RANGES_ASKED_MAX,
    SNAPSHOT_DATA_BYTES,
    SNAPSHOT_SECTIONS_MAX,
    TEXT_MAX,
    Advert,
    Checkpoint,
    Credentials,
    Digest,
    Disconnect,
    Get,
    GetLast,
    GetProfiles,
    GetSnapshot,
    Goodbye,
    Graft,
    Heads,
    Hello,
    IHave,
    Items,
    Message,
    ModelAdvert,
    Neighbour,
    Ping,
    Pong,
    Proof,
    Prune,
    Push,
    Ranges,
    Shuffle,
    ShuffleReply,
    Snapshot,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from dag.authors import AuthorDirectory
    from dag.genesis import Suite
    from dag.keys import PublicKeys

FRAME_BYTES_MAX: Final = 60_000
NONCE_BYTES: Final = 32
DIGEST_BYTES: Final = 32
SIGNATURE_BYTES_MAX: Final = 4_096
CREDENTIALS_REQUEST: Final = -1
"""`Vertices.request` of a CREDENTIALS message."""

_decoder: Final[msgspec.msgpack.Decoder[Message]] = msgspec.msgpack.Decoder(Message, strict=True)
_encoder: Final = msgspec.msgpack.Encoder()


class Admission:
    """Checks frames. Safe to use from several threads: it only reads."""

    def __init__(
        self,
        network: bytes,
        suite: Suite,
        authors: AuthorDirectory,
        is_stored: Callable[[bytes], bool],
        *,
        is_spent: Callable[[str], bool] = bool,
        verify: bool = True,
    ) -> None:
        """Take what admission reads.

        Args:
            network: Id of the only network whose vertices pass.
            suite: The network's signature suite.
            authors: Keys of known authors.
            is_stored: Whether a vertex is stored, and so was verified before.
            is_spent: Whether what a peer pushes is passed over for a moment; where frames come
                without the name of a peer, none is.
            verify: False only in benchmarks that measure everything but signatures.
        """
        self._network = network
        self._suite: Suite = suite
        self._authors = authors
        self._is_stored = is_stored
        self._is_spent = is_spent
        self._verify = verify

    @property
    def verifies(self) -> bool:
        """Whether signatures are checked: what makes a thread worth while."""
        return self._verify

    def check(self, frame: bytes, peer: str = "") -> Checked:
        """Read and check one frame of a peer. Raises `InvalidMessage`."""
        return self.check_message(decode_message(frame), peer)

    def check_message(self, message: Message, peer: str = "") -> Checked:
        """Check a message that was read already. Raises `InvalidMessage`."""
        match message:
            case Push() if self._is_spent(peer):
                return Vertices(0, tuple([self._pass_over(wire) for wire in message.vertices]))
            case Push():
                return Vertices(0, self._check_vertices(message.vertices))
            case Items():
                _check_items(message)
                return Vertices(
                    message.request,
                    self._check_vertices(message.vertices),
                    message.missing,
                    message.pruned_commit,
                    message.last,
                )
            case Credentials():
                _check_count("credentials", len(message.profiles), CREDENTIALS_MAX)
                return Vertices(CREDENTIALS_REQUEST, self._check_vertices(message.profiles))
            case _:
                _check_limits(message)
                return message

    def check_vertex(self, wire: bytes) -> Candidate:
        """Read and check one signed vertex. Raises `InvalidMessage`."""
        return self.check_signed(decode_signed(wire))

    def check_signed(self, signed: SignedVertex) -> Candidate:
        """Check a signed vertex that was read already. Raises `InvalidMessage`."""
        if signed.vertex.network != self._network:
            raise WrongNetwork(f"vertex {signed.id.hex()[:16]} belongs to another network")
        if self._is_stored(signed.id):
            return Candidate(signed, Standing.DUPLICATE)
        keys = find_keys(self._authors, self._suite, signed.vertex)
        if keys is None:
            return Candidate(signed, Standing.UNKNOWN_AUTHOR)
        self.check_signature(keys, signed)
        return Candidate(signed, Standing.VERIFIED)

    def _pass_over(self, wire: bytes) -> Candidate:
        """Check the form of a vertex only. Raises `InvalidMessage`."""
        return Candidate(decode_signed(wire), Standing.UNREAD)

    def check_signature(self, keys: PublicKeys, signed: SignedVertex) -> None:
        """Check a vertex's signatures, if this door does. Raises `InvalidSignature`."""
        if self._verify:
            verify_vertex(keys, self._suite, signed)

    def _check_vertices(self, wires: tuple[bytes, ...]) -> tuple[Candidate, ...]:
        return tuple([self.check_vertex(wire) for wire in wires])


def decode_message(frame: bytes) -> Message:
    """Read a frame's message, its limits unchecked. Raises `MalformedMessage` or `MessageTooLarge`."""
    if len(frame) > FRAME_BYTES_MAX:
        raise MessageTooLarge("frame", len(frame), FRAME_BYTES_MAX)
    try:
        message = _decoder.decode(frame)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise MalformedMessage(f"frame does not decode: {error}") from None
    if _encoder.encode(message) != frame:
        raise MalformedMessage("frame is not in canonical form")
    return message


_Plain = (
    Hello
    | Proof
    | Goodbye
    | Digest
    | Ping
    | Pong
    | IHave
    | Get
    | GetProfiles
    | GetLast
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
"""Messages that carry no vertices."""


def _check_limits(message: _Plain) -> None:
    match message:
        case IHave():
            _check_ids("announced ids", message.ids, IDS_MAX)
        case Digest():
            _check_digest(message)
        case Ping():
            _check_counters(message.nonce)
        case Pong():
            _check_counters(message.nonce, message.time_ms)
            _check_digest(message.digest)
        case Get():
            _check_counters(message.request)
            _check_names("requested ids", message.ids, GET_IDS_MAX)
        case GetProfiles():
            _check_counters(message.request)
            _check_ids("requested authors", message.authors, GET_IDS_MAX)
        case GetLast():
            _check_counters(message.request)
            _check_ids("requested authors", (message.author,), 1)
        case Heads():
            _check_heads(message)
        case Advert():
            _check_advert(message)
        case Hello():
            _check_hello(message)
        case Proof():
            _check_count("proof", len(message.signature), SIGNATURE_BYTES_MAX)
        case Goodbye():
            _check_texts(message.reason)
        case Disconnect() | Shuffle() | ShuffleReply():
            _check_ids("suggested members", message.peers, PEERS_MAX)
        case Ranges():
            _check_ranges(message)
        case Checkpoint() | GetSnapshot() | Snapshot():
            _check_snapshots(message)
        case Neighbour() | Graft() | Prune():
            pass
        case _:
            assert_never(message)


def _check_count(what: str, count: int, count_max: int) -> None:
    if count > count_max:
        raise MessageTooLarge(what, count, count_max)


def _check_ids(what: str, ids: tuple[bytes, ...], count_max: int) -> None:
    _check_count(what, len(ids), count_max)
    for item in ids:
        if len(item) != ID_BYTES:
            raise MalformedMessage(f"{what} have {ID_BYTES} bytes each")


def _check_names(what: str, names: tuple[bytes, ...], count_max: int) -> None:
    """Ids, or the cut references by which RANGES names them."""
    _check_count(what, len(names), count_max)
    if any(len(name) not in (ID_BYTES, CUT_REF_BYTES) for name in names):
        raise MalformedMessage(f"{what} have {ID_BYTES} bytes each, or {CUT_REF_BYTES} when cut")


def _check_counters(*values: int) -> None:
    for value in values:
        if not 0 <= value <= COUNTER_MAX:
            raise MalformedMessage(f"{value} is not a counter")


def _check_texts(*texts: str) -> None:
    for text in texts:
        _check_count("text", len(text), TEXT_MAX)


def _check_digest(digest: Digest) -> None:
    _check_counters(digest.count, digest.lamport)
    if len(digest.heads) != DIGEST_BYTES:
        raise MalformedMessage(f"a digest of heads has {DIGEST_BYTES} bytes")


def _check_items(items: Items) -> None:
    _check_counters(items.request, items.pruned_commit)
    if items.request == 0:
        raise MalformedMessage("an answer names its request")
    _check_names("missing ids", items.missing, IDS_MAX)


def _check_heads(heads: Heads) -> None:
    _check_count("heads", len(heads.heads), HEADS_MAX)
    _check_digest(heads.digest)
    for ref in heads.heads:
        if len(ref.id) != ID_BYTES or not 1 <= ref.lamport <= COUNTER_MAX:
            raise MalformedMessage("a head is a lamport from 1 and a 32-byte id")
    if any(left >= right for left, right in pairwise(heads.heads)):
        raise MalformedMessage("heads ascend")


def _check_ranges(message: Ranges) -> None:
    _check_counters(message.session)
    count_max = RANGES_ANSWERED_MAX if message.answer else RANGES_ASKED_MAX
    _check_count("ranges", len(message.ranges), count_max)
    _check_count("bound", len(message.lower), CUT_REF_BYTES)
    lower = message.lower
    for item in message.ranges:
        _check_count("bound", len(item.upper), CUT_REF_BYTES)
        if not lower < item.upper <= END:
            raise MalformedMessage("bounds of ranges ascend")
        if item.data is not None and len(item.data) != FINGERPRINT_BYTES:
            if not message.answer:
                raise MalformedMessage(f"a fingerprint has {FINGERPRINT_BYTES} bytes")
            _check_cut_refs(lower, item.data, item.upper)
        lower = item.upper


def _check_cut_refs(lower: bytes, data: bytes, upper: bytes) -> None:
    _check_count("range", len(data), LEAF_REFS_MAX * CUT_REF_BYTES)
    if len(data) % CUT_REF_BYTES:
        raise MalformedMessage(f"a cut reference has {CUT_REF_BYTES} bytes")
    refs = split_cut_refs(data)
    ascend = all(left < right for left, right in pairwise(refs))
    if not ascend or (refs and not lower <= refs[0] <= refs[-1] < upper):
        raise MalformedMessage("cut references ascend within their range")


def _check_snapshots(message: Checkpoint | GetSnapshot | Snapshot) -> None:
    match message:
        case Checkpoint():
            _check_counters(message.index, message.floor.speech, message.floor.blocks)
            _check_ids("roots", (message.root,), 1)
        case GetSnapshot():
            _check_counters(message.request, message.index, message.section, message.offset)
            _check_count("section", message.section, SNAPSHOT_SECTIONS_MAX - 1)
        case _:
            _check_counters(message.request, message.size_bytes, message.offset)
            _check_count("piece of a snapshot", len(message.data), SNAPSHOT_DATA_BYTES)


def _check_hello(hello: Hello) -> None:
    _check_counters(hello.version)
    if len(hello.network) != ID_BYTES or len(hello.author) != ID_BYTES:
        raise MalformedMessage(f"network and author have {ID_BYTES} bytes each")
    if len(hello.nonce) != NONCE_BYTES:
        raise MalformedMessage(f"a nonce has {NONCE_BYTES} bytes")
    if len(hello.expects) not in {0, ID_BYTES}:
        raise MalformedMessage(f"an author that is expected has {ID_BYTES} bytes")
    _check_count("addresses", len(hello.addresses), ADDRESSES_MAX)
    _check_texts(hello.agent, *hello.addresses)


def _check_advert(advert: Advert) -> None:
    _check_counters(advert.sequence, advert.slots, advert.running, advert.queued)
    _check_counters(advert.incarnation, advert.queued_prefill_tokens)
    if not 0 <= advert.kv_usage_bp <= BASIS_POINTS:
        raise MalformedMessage(f"use of memory is 0 to {BASIS_POINTS} basis points")
    _check_count("models", len(advert.models), MODELS_MAX)
    for model in advert.models:
        _check_model(model)


def _check_model(model: ModelAdvert) -> None:
    _check_counters(model.context_tokens, model.size_bytes)
    _check_texts(model.id, model.revision, model.engine, model.label)
