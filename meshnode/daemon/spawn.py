"""Starts a node in the background and waits until it is ready, or knows why it is not."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import aclosing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from meshnode.errors import DeadlineExceeded, MeshError
from meshnode.gateway.problems import read_problem
from meshnode.home import open_home
from meshnode.private_files import make_private_folder

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

START_TIMEOUT_MS: Final = 180_000
LOG_BYTES_MAX: Final = 5_000_000
_LINE_BYTES_MAX: Final = 65_536
_STOP_GRACE_S: Final = 5.0


class StartRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a new process is told, through its standard input: nothing of it is in `ps`."""

    home: str
    flags: dict[str, Any] = msgspec.field(default_factory=dict)
    """As for `meshnode.config_file.load_config`; paths as text."""
    passphrase: str | None = None
    """Of the key store, where a person typed it."""
    ticket: str | None = None
    """A network to join first."""
    tied: bool = False
    """Whether the node ends when the process that started it ends."""

    def __repr__(self) -> str:
        return f"StartRequest(home={self.home!r})"


class Spawned:
    """A node that runs on by itself."""

    def __init__(self, process: subprocess.Popen[bytes], api: str, log_path: Path) -> None:
        self.process = process
        self.api = api
        """HOST:PORT of its HTTP interface."""
        self.log_path = log_path

    @property
    def pid(self) -> int:
        """The process."""
        return self.process.pid


async def spawn_detached(
    request: StartRequest,
    *,
    on_phase: Callable[[str], None] | None = None,
    timeout_ms: int = START_TIMEOUT_MS,
    environ: Mapping[str, str] | None = None,
) -> Spawned:
    """Start a node in its own session. Raises what kept it from getting ready.

    A node that is not ready in time, or whose starter is interrupted, is stopped.
    """
    home = await asyncio.to_thread(open_home, Path(request.home), check=False)
    log_path = await asyncio.to_thread(_prepare_log, home.logs_path)
    reader, writer = os.pipe()
    try:
        process = _start(request, writer, log_path, home.path, environ)
    except BaseException:
        os.close(reader)
        raise
    finally:
        os.close(writer)
    try:
        async with asyncio.timeout(timeout_ms / 1_000):
            api = await _wait_ready(reader, on_phase, log_path)
        return Spawned(process, api, log_path)
    except TimeoutError:
        await asyncio.to_thread(_end, process)
        raise DeadlineExceeded(
            f"the node was not ready within {timeout_ms // 1_000} s", hint=f"its log: {log_path}"
        ) from None
    except BaseException:
        await asyncio.to_thread(_end, process)
        raise


def _start(
    request: StartRequest,
    report_fd: int,
    log_path: Path,
    home: Path,
    environ: Mapping[str, str] | None,
) -> subprocess.Popen[bytes]:
    with log_path.open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - the program is this interpreter
            [sys.executable, "-m", "meshnode.daemon", str(report_fd), str(home)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            pass_fds=(report_fd,),
            start_new_session=True,
            env=None if environ is None else dict(environ),
        )
    assert process.stdin is not None
    with suppress(BrokenPipeError):
        process.stdin.write(msgspec.json.encode(request) + b"\n")
        process.stdin.flush()
    if not request.tied:
        with suppress(BrokenPipeError):
            process.stdin.close()
    return process


async def _wait_ready(reader: int, on_phase: Callable[[str], None] | None, log_path: Path) -> str:
    async with aclosing(_read_reports(reader)) as reports:
        async for report in reports:
            match report.get("type"):
                case "ready":
                    return str(report["api"])
                case "failed":
                    raise read_problem(report)
                case _:
                    if on_phase is not None:
                        on_phase(str(report.get("detail")))
    raise MeshError("the node ended while it started", hint=f"its log says why: {log_path}")


async def _read_reports(fd: int) -> AsyncGenerator[dict[str, Any], None]:
    reader = asyncio.StreamReader(limit=_LINE_BYTES_MAX)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(fd, "rb")
    )
    try:
        while line := await reader.readline():
            yield msgspec.json.decode(line, type=dict[str, Any])
    finally:
        transport.close()


def _prepare_log(folder: Path) -> Path:
    make_private_folder(folder)
    path = folder / "node.log"
    if path.exists() and path.stat().st_size > LOG_BYTES_MAX:
        path.replace(folder / "node.log.1")
    path.touch(mode=0o600)
    return path


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdin is not None:
        process.stdin.close()
