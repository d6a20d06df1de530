"""The frames of an answer stream, byte by byte.

The asking peer opens a stream and sends ASK, then its request body in ASK_PARTs, in order, until
`body_bytes` are sent. It keeps its direction open: CANCEL, a finish or a reset ends the work. The
serving peer sends any number of QUEUED and PARTs, and last DONE or FAILED, then finishes. A
`Part` carries one `chat.completion.chunk` object in JSON, split where it exceeds a frame.

A question that is paid for begins with PAID_ASK, which names the contract. The serving peer then
also sends INVOICEs between chunks, at least one before DONE; the asking peer answers each that is
right with COUNTERSIGN.

QUEUED, DONE and FAILED carry the load of the serving peer at that moment, one of its numbered
reports. A stream that begins with PROBE asks for nothing else: REPORT is its one answer, with the
digests of prompts whose beginnings lie in the cache there, or, about a third peer, REACHED.

Between peers whose profiles both name sealing keys all of these travel in BOXes: the asking side
begins with OPEN, the serving side with ACCEPT, or with REFUSE where it does not have that key any more
(see `meshnode.sealed`).

Every frame is a canonical MessagePack array whose first element is its tag. This form is frozen:
version 1.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from dag.canonical import CanonicalDecoder, encode
from dag.crypto import HYBRID_SIGNATURE_BYTES
from market.receipts import RECEIPT_BYTES_MAX
from meshnode.errors import MalformedMessage
from meshnode.sealed.frames import Box
from meshnode.sealed.handshake import Accept, Open
from meshnode.transport.base import FRAME_BYTES_MAX

SERVING_VERSION: Final = 1
REQUEST_BYTES_MAX: Final = 2 * 1024 * 1024
PART_BYTES_MAX: Final = 59_000
"""Largest payload of one part; with its tag and length it always fits a frame."""
CHUNK_BYTES_MAX: Final = 1024 * 1024
"""Largest chunk object in JSON."""
ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024
"""Largest answer, as text."""
STREAM_BYTES_MAX: Final = 64 * 1024 * 1024
"""Most that all chunk objects of one answer take in JSON."""
REMAINING_MS_MAX: Final = 3_600_000
KNOWLEDGE_MAX: Final = 6
BLOCKS_MAX: Final = 4_096
"""Digests of prompt blocks in one report: the newest ones."""
BLOCK_BYTES: Final = 8
PROFILE_BYTES_MAX: Final = 32_768
HEARTBEAT_MS: Final = 5_000
"""A serving peer is never silent for longer than this."""
SILENT_MS: Final = 15_000
"""An asking peer gives up on a serving peer that is silent this long."""

_Id = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
_PartData = Annotated[bytes, msgspec.Meta(min_length=1, max_length=PART_BYTES_MAX)]
_Text = Annotated[str, msgspec.Meta(max_length=256)]
_BasisPoints = Annotated[int, msgspec.Meta(ge=0, le=10_000)]
_Blocks = Annotated[bytes, msgspec.Meta(max_length=BLOCKS_MAX * BLOCK_BYTES)]
_Signature = Annotated[bytes, msgspec.Meta(max_length=HYBRID_SIGNATURE_BYTES)]


class _Wire(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    pass


class Load(_Wire, frozen=True):
    """How busy a serving peer is; of two reports the one of the later start and number holds."""

    incarnation: _Count
    """When its engine started, in Unix milliseconds."""
    sequence: _Count
    slots: _Count
    running: _Count
    queued: _Count
    queued_prefill_tokens: _Count
    """Prompt tokens of requests that have no token yet, waiting or running."""
    kv_usage_bp: _BasisPoints
    draining: bool


class Ask(_Wire, frozen=True, tag=1):
    """A question; the body follows in parts."""

    version: int
    request: Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
    """Random name of the question, for logs of both sides."""
    body_bytes: Annotated[int, msgspec.Meta(ge=2, le=REQUEST_BYTES_MAX)]
    share: Literal["full", "digest"]
    """What the asking peer wants the result vertex to show; the stricter of it and the network's
    rule holds."""
    remaining_ms: Annotated[int, msgspec.Meta(ge=1, le=REMAINING_MS_MAX)]
    """How long the asking peer will wait."""
    knowledge: Annotated[tuple[_Id, ...], msgspec.Meta(max_length=KNOWLEDGE_MAX)]
    """Vertices the question builds on: parents of the result."""
    private: bool
    """Whether no report may hold a digest of the prompt."""


class AskPart(_Wire, frozen=True, tag=2):
    """A piece of the request body: the JSON object of a chat completion request."""

    data: _PartData


class Cancel(_Wire, frozen=True, tag=3):
    """The asking peer wants no more; a reset of the stream means the same."""


class Queued(_Wire, frozen=True, tag=4):
    """The serving peer is alive and works on it; `position` is 0 once the question runs."""

    position: _Count
    load: Load


class Part(_Wire, frozen=True, tag=5):
    """A piece of a chunk object; `last` ends the object."""

    data: _PartData
    last: bool


class Done(_Wire, frozen=True, tag=6):
    """The answer is complete, and the result vertex that says so is durable."""

    vertex: _Id
    lamport: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
    engine: _Text
    model: _Text
    share: Literal["full", "digest"]
    finish_reason: _Text
    prompt_tokens: _Count
    completion_tokens: _Count
    queued_ms: _Count
    first_token_ms: _Count
    total_ms: _Count
    load: Load


class Failed(_Wire, frozen=True, tag=7):
    """No answer, or no more of it."""

    fault: _Text
    """A `meshnode.engines.base.EngineFault`; unknown ones read as 'internal'."""
    message: _Text
    retry_after_ms: Annotated[int, msgspec.Meta(ge=0, le=REMAINING_MS_MAX)]
    """0 where nothing is known."""
    load: Load | None = None
    """None where nothing is served."""


class PaidAsk(Ask, frozen=True, tag=8):
    """A question that is paid for; the body follows in parts."""

    contract: _Id
    salt: _Id
    """Random; begins the transcript, so that nobody can guess what its root stands for."""


class Invoice(_Wire, frozen=True, tag=9):
    """What was delivered so far, signed by the serving peer."""

    receipt: Annotated[bytes, msgspec.Meta(max_length=RECEIPT_BYTES_MAX)]
    signature: _Signature


class Countersign(_Wire, frozen=True, tag=10):
    """The asking peer's signature on the receipt of this number."""

    seq: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
    signature: _Signature


class Probe(_Wire, frozen=True, tag=11):
    """Asks for REPORT."""

    version: int
    generation: _Count
    """Of the digests that the asking peer has already; 0 for none."""
    target: Annotated[bytes, msgspec.Meta(max_length=32)] = b""
    """Author of another peer that the asking one cannot reach: REACHED says whether this one can.
    Empty for REPORT."""


class Report(_Wire, frozen=True, tag=12):
    """The load, and the digests that are new since a generation."""

    load: Load
    generation: _Count
    """What a later PROBE names; it grows with each new digest."""
    complete: bool
    """Whether these are all there are: those of earlier reports are forgotten."""
    blocks: _Blocks
    """Digests of 8 bytes each, the oldest first."""


class Reached(_Wire, frozen=True, tag=13):
    """Whether the sender can reach the peer that a PROBE was about."""

    reached: bool


class Refuse(_Wire, frozen=True, tag=17):
    """The key that OPEN names is not held any more, or never was."""

    profile: Annotated[bytes, msgspec.Meta(max_length=PROFILE_BYTES_MAX)]
    """The newest profile vertex of the serving peer, as signed; empty where none is out yet."""


AskFrame = Ask | PaidAsk | AskPart | Cancel | Countersign | Probe | Open | Box
AnswerFrame = Queued | Part | Invoice | Done | Failed | Report | Reached | Accept | Box | Refuse

_ask_decoder: Final[CanonicalDecoder[AskFrame]] = CanonicalDecoder(
    AskFrame,  # type: ignore[arg-type]  # a union is a type form, not a type
    what="frame of a question",
    bytes_max=FRAME_BYTES_MAX,
)
_answer_decoder: Final[CanonicalDecoder[AnswerFrame]] = CanonicalDecoder(
    AnswerFrame,  # type: ignore[arg-type]  # as above
    what="frame of an answer",
    bytes_max=FRAME_BYTES_MAX,
)


def encode_frame(frame: AskFrame | AnswerFrame) -> bytes:
    """Write a frame."""
    return encode(frame)


def decode_ask_frame(data: bytes) -> AskFrame:
    """Read what an asking peer sends. Raises `MalformedMessage` or `MessageTooLarge`."""
    frame = _ask_decoder.decode(data)
    if isinstance(frame, Ask | Probe | Open) and frame.version != SERVING_VERSION:
        raise MalformedMessage(f"serving version {frame.version} is not {SERVING_VERSION}")
    return frame


def decode_answer_frame(data: bytes) -> AnswerFrame:
    """Read what a serving peer sends. Raises `MalformedMessage` or `MessageTooLarge`."""
    frame = _answer_decoder.decode(data)
    if isinstance(frame, Report) and len(frame.blocks) % BLOCK_BYTES:
        raise MalformedMessage(f"digests of prompt blocks have {BLOCK_BYTES} bytes each")
    return frame


def split_parts(data: bytes) -> list[bytes]:
    """Cut a payload into pieces that fit a frame each, in order; at least one."""
    starts = range(0, max(1, len(data)), PART_BYTES_MAX)
    return [data[start : start + PART_BYTES_MAX] for start in starts]


def clip_text(text: str, *, chars_max: int = 256) -> str:
    """Cut free text to what a frame or a body may carry."""
    return text if len(text) <= chars_max else f"{text[: chars_max - 1]}…"
