"""What a node leaves behind when its core fails: the error and the inputs that led to it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import traceback
from typing import TYPE_CHECKING, Final

import msgspec

from meshnode.shell.recording import encode_input

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from meshnode.core.inputs import Input

FILE_NAME: Final = "crash.msgpack"


class CrashFile:
    """Written at most once per life of a node; a newer one replaces it.

    A MessagePack array of the traceback as text and the last inputs, oldest first, each in the form
    it has in a recording.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME

    async def write(self, error: BaseException, inputs: Iterable[Input]) -> None:
        """Write it, as well as the disk allows: the node stops because of `error`, not of this."""
        text = "".join(traceback.format_exception(error))
        data = msgspec.msgpack.encode((text, [encode_input(entry) for entry in inputs]))
        await asyncio.to_thread(self._write, data)

    def _write(self, data: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        # The error that stops the node is the one to report, also where the disk is full.
        with (
            contextlib.suppress(OSError),
            os.fdopen(os.open(self._path, flags, 0o600), "wb") as file,
        ):
            file.write(data)
