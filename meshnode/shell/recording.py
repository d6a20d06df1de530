"""Recordings: a node's life as the inputs it was given, and digests of what it did with them.

A recording is a file of frames, each a 4-byte big-endian length and a MessagePack array whose first
element is its tag:

    0  header: format, program version, settings, entropy seed, named values
    1  a vertex of the journal the node started from, in admission order
    7  a certified snapshot of that journal
    6  the start, and its time
    2  a peer's message that carries no vertices
    3  a peer's message that carries vertices
    4  any other input
    5  how many inputs came so far, and the running digest of every effect since the start

Secret keys are no input of the core (it asks the shell to sign), so no recording can hold one.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import msgspec

from dag.vertex import decode_signed
from meshnode.core.commands import Command
from meshnode.core.effects import Effect
from meshnode.core.inputs import (
    Candidate,
    Completed,
    Connected,
    Disconnected,
    Input,
    Received,
    Rejected,
    Standing,
    Submitted,
    Ticked,
    Vertices,
)
from meshnode.core.messages import Message, encode_message
from meshnode.core.recovered import StoredSnapshot
from meshnode.core.settings import Settings
from meshnode.errors import StorageError
from meshnode.shell.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from meshnode.core.recovered import Recovered

FORMAT: Final = 1
DIGEST_EVERY: Final = 256
"""Inputs between two digests: a divergence is narrowed down to so many."""
FRAME_BYTES_MAX: Final = 1 << 28
_LENGTH_BYTES: Final = 4


class _Frame(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    pass


class Header(_Frame, frozen=True, tag=0):
    """What a core was started with."""

    format: int
    version: str
    settings: Settings
    seed: bytes
    values: dict[str, bytes]
    delivered: int | None = None


class StoredWire(_Frame, frozen=True, tag=1):
    """A vertex that was recovered."""

    wire: bytes


class SnapshotFrame(_Frame, frozen=True, tag=7):
    """A certified snapshot that was recovered."""

    snapshot: StoredSnapshot


class StartFrame(_Frame, frozen=True, tag=6):
    """The core was started; what follows are its inputs."""

    now_ms: int


class MessageFrame(_Frame, frozen=True, tag=2):
    """A `Received` without vertices."""

    now_ms: int
    peer: str
    message: bytes


class VerticesFrame(_Frame, frozen=True, tag=3):
    """A `Received` with vertices, as their wire bytes."""

    now_ms: int
    peer: str
    request: int
    candidates: tuple[tuple[bytes, int], ...]
    missing: tuple[bytes, ...]
    pruned_commit: int
    last: bool


class InputFrame(_Frame, frozen=True, tag=4):
    """Any other input."""

    body: bytes


class DigestFrame(_Frame, frozen=True, tag=5):
    """What the effects of everything before amount to."""

    inputs: int
    digest: bytes


InputRecord = MessageFrame | VerticesFrame | InputFrame
Frame = (
    Header
    | StoredWire
    | SnapshotFrame
    | StartFrame
    | MessageFrame
    | VerticesFrame
    | InputFrame
    | DigestFrame
)

_encoder: Final = msgspec.msgpack.Encoder()
_frame_decoder: Final[msgspec.msgpack.Decoder[Frame]] = msgspec.msgpack.Decoder(Frame)
_message_decoder: Final[msgspec.msgpack.Decoder[Any]] = msgspec.msgpack.Decoder(Message)
_input_decoder: Final[
    msgspec.msgpack.Decoder[Rejected | Connected | Disconnected | Submitted | Completed | Ticked]
] = msgspec.msgpack.Decoder(Rejected | Connected | Disconnected | Submitted | Completed | Ticked)


def encode_input(entry: Input) -> InputRecord:
    """An input as a frame of a recording."""
    if not isinstance(entry, Received):
        return InputFrame(_encoder.encode(entry))
    message = entry.message
    if not isinstance(message, Vertices):
        return MessageFrame(entry.now_ms, entry.peer, encode_message(message))
    return VerticesFrame(
        entry.now_ms,
        entry.peer,
        message.request,
        tuple((item.signed.wire, item.standing.value) for item in message.candidates),
        message.missing,
        message.pruned_commit,
        message.last,
    )


def decode_input(frame: InputRecord) -> Input:
    """The input a frame holds."""
    if isinstance(frame, InputFrame):
        return _input_decoder.decode(frame.body)
    if isinstance(frame, MessageFrame):
        return Received(frame.now_ms, frame.peer, _message_decoder.decode(frame.message))
    candidates = tuple(
        Candidate(decode_signed(wire), Standing(standing)) for wire, standing in frame.candidates
    )
    vertices = Vertices(
        frame.request, candidates, frame.missing, frame.pruned_commit, last=frame.last
    )
    return Received(frame.now_ms, frame.peer, vertices)


class EffectDigest:
    """A running SHA-256 over what a core answers, input by input."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.inputs = 0

    def add(self, effects: Sequence[Effect]) -> None:
        """An input was answered with these effects."""
        self.inputs += 1
        self._hash.update(_encoder.encode(effects))

    def add_rejection(self, command: Command, reason: str) -> None:
        """An input was a command that the core refused."""
        self.inputs += 1
        self._hash.update(_encoder.encode((type(command).__name__, reason)))

    def digest(self) -> bytes:
        """What was added so far amounts to this."""
        return self._hash.digest()


class Recorder:
    """Writes a recording. Frames are gathered per batch and written by a thread of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._worker = Worker("recording")
        self._file: BinaryIO | None = None
        self._digest = EffectDigest()
        self._pending: list[bytes] = []

    async def open(self, header: Header, recovered: Recovered) -> None:
        """Begin the file with what the core starts from. Raises `StorageError`."""
        self._add(header)
        for signed in recovered.vertices:
            self._add(StoredWire(signed.wire))
        for snapshot in recovered.snapshots:
            self._add(SnapshotFrame(snapshot))
        try:
            self._file = await self._worker.run(self._create)
            await self.flush()
        except BaseException:
            await self.close()
            raise

    def _create(self) -> BinaryIO:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        try:
            return os.fdopen(os.open(self._path, flags, 0o600), "wb", buffering=0)
        except OSError as error:
            raise self._refuse(error) from error

    def add_start(self, now_ms: int, effects: Sequence[Effect]) -> None:
        """What the core answered to its start."""
        self._add(StartFrame(now_ms))
        self._digest.add(effects)

    def add(self, entry: Input, effects: Sequence[Effect]) -> None:
        """An input, and what the core answered."""
        self._add(encode_input(entry))
        self._digest.add(effects)
        self._add_digest()

    def add_rejection(self, entry: Submitted, reason: str) -> None:
        """A command that the core refused."""
        self._add(encode_input(entry))
        self._digest.add_rejection(entry.command, reason)
        self._add_digest()

    def _add_digest(self) -> None:
        if self._digest.inputs % DIGEST_EVERY == 0:
            self._add(DigestFrame(self._digest.inputs, self._digest.digest()))

    def _add(self, frame: Frame) -> None:
        body = _encoder.encode(frame)
        self._pending += (len(body).to_bytes(_LENGTH_BYTES, "big"), body)

    async def flush(self) -> None:
        """Write what was added. Raises `StorageError`."""
        pending, self._pending = self._pending, []
        if pending:
            await self._worker.run(lambda: self._write(b"".join(pending)))

    def _write(self, data: bytes) -> None:
        assert self._file is not None, "a recording is opened first"
        try:
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            raise self._refuse(error) from error

    def _refuse(self, error: OSError) -> StorageError:
        return StorageError(
            f"cannot write the recording {self._path}: {error.strerror}",
            hint="name another file, or start without a recording",
        )

    async def close(self) -> None:
        """Write the last digest and end the file. Raises `StorageError`."""
        try:
            if self._file is not None:
                self._add(DigestFrame(self._digest.inputs, self._digest.digest()))
                await self.flush()
        finally:
            await self._worker.run(self._end)
            await self._worker.close()

    def _end(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def read_frames(path: Path) -> Iterator[Frame]:
    """The frames of a recording; a torn last one, as a crash leaves it, ends it.

    Raises `StorageError` when it is no recording.
    """
    try:
        with path.open("rb") as file:
            while True:
                length = int.from_bytes(file.read(_LENGTH_BYTES), "big")
                if length > FRAME_BYTES_MAX:
                    raise StorageError(f"{path} is not a recording", hint="record with --record")
                body = file.read(length)
                if not length or len(body) < length:
                    return
                yield _frame_decoder.decode(body)
    except OSError as error:
        raise StorageError(f"cannot read the recording {path}: {error.strerror}") from error
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise StorageError(f"{path} is not a recording: {error}") from error
