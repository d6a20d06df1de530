"""Maelstrom's messages: one JSON object a line, requests by `msg_id`, replies by `in_reply_to`.

    {"src": "c1", "dest": "n1", "body": {"type": "broadcast", "msg_id": 7, "message": 42}}

Whatever is malformed raises `BadLine` (nobody to answer) or `BadRequest` (an error reply is due).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Any, Final

import msgspec

from dag.genesis import FOUNDERS_MAX
from meshnode.core.admission import FRAME_BYTES_MAX
from simulations.errors import SimulationError

LINE_BYTES_MAX: Final = 1 << 20
"""Longest line that is listened to."""
NESTING_MAX: Final = 100
"""Deepest value, in lists and objects around lists and objects."""
NAME_MAX: Final = 64
"""Longest name of a node or client, in characters."""

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_MAX)]
Names = Annotated[tuple[Name, ...], msgspec.Meta(min_length=1, max_length=FOUNDERS_MAX)]
Count = Annotated[int, msgspec.Meta(ge=0, le=(1 << 53) - 1)]
"""What any JSON reader keeps exactly."""
Session = Annotated[int, msgspec.Meta(ge=1, le=(1 << 53) - 1)]
Frame = Annotated[bytes, msgspec.Meta(max_length=FRAME_BYTES_MAX)]
"""Base64 on the line."""


class ErrorCode(IntEnum):
    """What Maelstrom's clients understand; codes that are not definite may have taken effect."""

    TIMEOUT = 0
    NODE_NOT_FOUND = 1
    NOT_SUPPORTED = 10
    TEMPORARILY_UNAVAILABLE = 11
    MALFORMED_REQUEST = 12
    CRASH = 13
    ABORT = 14
    KEY_DOES_NOT_EXIST = 20
    KEY_ALREADY_EXISTS = 21
    PRECONDITION_FAILED = 22
    TXN_CONFLICT = 30

    @property
    def is_definite(self) -> bool:
        """Whether the operation certainly never happens."""
        return self not in (ErrorCode.TIMEOUT, ErrorCode.CRASH)


class BadLine(SimulationError):
    """A line that is no message, or one that nobody waits to hear about."""

    code = "bad_line"


class BadRequest(SimulationError):
    """A request that cannot be served; its sender gets the code and the text."""

    code = "bad_request"

    def __init__(self, error_code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.error_code = error_code


class Message(msgspec.Struct, frozen=True):
    """One line. Keys beyond these are Maelstrom's own, and passed over."""

    src: Name
    dest: Name
    body: msgspec.Raw


class Head(msgspec.Struct, frozen=True):
    """What every body may have."""

    type: Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_MAX)]
    msg_id: Count | None = None
    in_reply_to: Count | None = None


class _Body(msgspec.Struct, frozen=True, tag_field="type", omit_defaults=True):
    pass


class Init(_Body, frozen=True, tag="init"):
    """The first request: who the node is, and who else there is."""

    msg_id: Count
    node_id: Name
    node_ids: Names


class Topology(_Body, frozen=True, tag="topology"):
    """A proposal of who talks to whom. The mesh makes its own; this is kept to be seen."""

    msg_id: Count
    topology: dict[Name, tuple[Name, ...]]


class Broadcast(_Body, frozen=True, tag="broadcast"):
    """Let every node have a value."""

    msg_id: Count
    message: Any


class Add(_Body, frozen=True, tag="add"):
    """Put a value into the grow-only set."""

    msg_id: Count
    element: Any


class Read(_Body, frozen=True, tag="read"):
    """Ask for all values a node has."""

    msg_id: Count


class Packet(_Body, frozen=True, tag="mesh"):
    """What nodes send each other: a part of an ordered stream of the core's frames.

    Both ends number their side of a connection; a packet names the numbers of both.
    """

    session: Session
    echo: Count = 0
    """The receiver's number, as far as the sender knows it; 0 if it does not."""
    opening: bool = False
    """The sender has not heard of the receiver yet in this connection."""
    reset: bool = False
    """The sender knows of no such connection."""
    ack: Count = 0
    """How many frames have arrived in order."""
    first: Count = 0
    """Number of the first frame here, from 1."""
    frames: tuple[Frame, ...] = ()


Request = Init | Topology | Broadcast | Add | Read
_REQUESTS: Final[dict[str, msgspec.json.Decoder[Request]]] = {
    "init": msgspec.json.Decoder(Init),
    "topology": msgspec.json.Decoder(Topology),
    "broadcast": msgspec.json.Decoder(Broadcast),
    "add": msgspec.json.Decoder(Add),
    "read": msgspec.json.Decoder(Read),
}
_message_decoder: Final = msgspec.json.Decoder(Message)
_head_decoder: Final = msgspec.json.Decoder(Head)
_packet_decoder: Final = msgspec.json.Decoder(Packet)
_encoder: Final = msgspec.json.Encoder(order="deterministic")

# Nesting without end raises RecursionError, and text that is no UTF-8 may raise UnicodeDecodeError.
_UNREADABLE: Final = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)


def decode_message(line: bytes) -> tuple[Message, Head]:
    """Take a line apart. Raises `BadLine`."""
    if len(line) > LINE_BYTES_MAX:
        raise BadLine(f"a line of {len(line)} bytes, where at most {LINE_BYTES_MAX} are read")
    try:
        message = _message_decoder.decode(line)
        return message, _head_decoder.decode(message.body)
    except _UNREADABLE as error:
        raise BadLine(f"no message: {error}") from error


def decode_request(head: Head, body: msgspec.Raw) -> Request:
    """Read a request. Raises `BadRequest`."""
    decoder = _REQUESTS.get(head.type)
    if decoder is None:
        raise BadRequest(
            ErrorCode.NOT_SUPPORTED,
            f"no such request here: {head.type}; there are: {', '.join(_REQUESTS)}",
        )
    try:
        return decoder.decode(body)
    except _UNREADABLE as error:
        raise BadRequest(ErrorCode.MALFORMED_REQUEST, f"{head.type}: {error}") from error


def decode_packet(body: msgspec.Raw) -> Packet:
    """Read what another node sent. Raises `BadLine`."""
    try:
        return _packet_decoder.decode(body)
    except _UNREADABLE as error:
        raise BadLine(f"no packet: {error}") from error


def encode_message(src: str, dest: str, body: object) -> bytes:
    """A line, its end included."""
    return _encoder.encode({"src": src, "dest": dest, "body": body}) + b"\n"


def make_reply(request: str, msg_id: int, **fields: object) -> dict[str, object]:
    """The body of a good answer; Maelstrom refuses keys it does not know."""
    return {"type": f"{request}_ok", "in_reply_to": msg_id, **fields}


def make_error(error: BadRequest, msg_id: int) -> dict[str, object]:
    """The body of a bad answer."""
    return {
        "type": "error",
        "in_reply_to": msg_id,
        "code": int(error.error_code),
        "text": error.message,
    }


def encode_value(value: object) -> bytes:
    """A value's one form in bytes, by which equal values are one. Raises `BadRequest`."""
    if _is_deep(value):
        raise BadRequest(
            ErrorCode.MALFORMED_REQUEST, f"the value is nested deeper than {NESTING_MAX}"
        )
    return _encoder.encode(value)


def _is_deep(value: object) -> bool:
    """Whether some node might not be able to read a value that this one can."""
    level = [value]
    for _ in range(NESTING_MAX):
        level = [
            child
            for one in level
            if isinstance(one, list | dict)
            for child in (one.values() if isinstance(one, dict) else one)
        ]
    return bool(level)


class LineSplitter:
    """Cuts what comes through a pipe into lines; a line beyond the limit is dropped whole."""

    def __init__(self) -> None:
        self.dropped = 0
        """Lines that were too long."""
        self._rest = bytearray()
        self._is_skipping = False

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are complete now, without their ends."""
        *ended, rest = data.split(b"\n")
        lines = []
        for part in ended:
            self._grow(part)
            if not self._is_skipping:
                lines.append(bytes(self._rest))
            self._rest.clear()
            self._is_skipping = False
        self._grow(rest)
        return [line for line in lines if line.strip()]

    def _grow(self, part: bytes) -> None:
        if self._is_skipping:
            return
        if len(self._rest) + len(part) > LINE_BYTES_MAX:
            self._is_skipping = True
            self.dropped += 1
            self._rest.clear()
        else:
            self._rest += part
