"""Runs a recorded life again and compares, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from dag.vertex import SignedVertex, decode_signed
from meshnode.core.inputs import Input, Submitted
from meshnode.core.node import Node
from meshnode.core.recovered import Recovered, StoredSnapshot
from meshnode.errors import CommandRejected, InvalidMessage, StorageError
from meshnode.shell.recording import (
    FORMAT,
    DigestFrame,
    EffectDigest,
    Frame,
    Header,
    InputFrame,
    MessageFrame,
    SnapshotFrame,
    StartFrame,
    StoredWire,
    VerticesFrame,
    decode_input,
    read_frames,
)

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayReport:
    """What a replay showed."""

    version: str
    """The program version that recorded."""
    inputs: int
    digests: int
    """Digests compared."""
    diverged_after: int | None
    """The first digest that differs stands after this many inputs; None when all are equal."""

    @property
    def ok(self) -> bool:
        """Whether everything happened as recorded."""
        return self.diverged_after is None


def replay(path: Path) -> ReplayReport:
    """Run a recording again. Raises `StorageError` when the file cannot be used."""
    frames = read_frames(path)
    header = next(frames, None)
    if not isinstance(header, Header):
        raise StorageError(f"{path} is not a recording", hint="record with --record")
    if header.format != FORMAT:
        raise StorageError(
            f"{path} has format {header.format}, this version reads {FORMAT}",
            hint=f"replay it with meshnode {header.version}",
        )
    try:
        return _replay(header, frames)
    except (InvalidMessage, msgspec.DecodeError, ValueError, RecursionError) as error:
        raise StorageError(f"{path} is damaged: {error}") from error
    except (AssertionError, LookupError) as error:
        # Inputs that cannot follow each other run into the core's own checks.
        raise StorageError(
            f"{path} tells of a life that cannot be: {error}",
            hint=f"it is damaged, or meshnode {header.version} had a bug: replay it there",
        ) from error


def _replay(header: Header, frames: Iterator[Frame]) -> ReplayReport:
    digest = EffectDigest()
    node = _start(header, frames, digest)
    compared = 0
    for frame in frames:
        if isinstance(frame, DigestFrame):
            compared += 1
            if (frame.inputs, frame.digest) != (digest.inputs, digest.digest()):
                return _report(header, digest, compared, frame.inputs)
        elif isinstance(frame, MessageFrame | VerticesFrame | InputFrame):
            _feed(node, decode_input(frame), digest)
        else:
            raise StorageError("a recording starts once, from one journal")
    return _report(header, digest, compared, None)


def _start(header: Header, frames: Iterator[Frame], digest: EffectDigest) -> Node:
    vertices: list[SignedVertex] = []
    snapshots: list[StoredSnapshot] = []
    for frame in frames:
        if isinstance(frame, StoredWire):
            vertices.append(decode_signed(frame.wire))
        elif isinstance(frame, SnapshotFrame):
            snapshots.append(frame.snapshot)
        elif isinstance(frame, StartFrame):
            recovered = Recovered(
                vertices=tuple(vertices),
                values=header.values,
                delivered=header.delivered,
                snapshots=tuple(snapshots),
            )
            node = Node(header.settings, header.seed, recovered)
            digest.add(node.start(frame.now_ms))
            return node
        else:
            break
    raise StorageError("the recording ends before the node started", hint="record again")


def _feed(node: Node, entry: Input, digest: EffectDigest) -> None:
    try:
        effects = node.handle(entry)
    except CommandRejected as error:
        assert isinstance(entry, Submitted), "only commands are rejected"
        digest.add_rejection(entry.command, str(error))
    else:
        digest.add(effects)


def _report(
    header: Header, digest: EffectDigest, compared: int, diverged_after: int | None
) -> ReplayReport:
    return ReplayReport(
        version=header.version,
        inputs=digest.inputs,
        digests=compared,
        diverged_after=diverged_after,
    )
