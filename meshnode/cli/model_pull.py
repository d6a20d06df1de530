"""`meshnode model pull`: fetch a model file, whole and checked, or not at all."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from meshnode.cli.exits import OK
from meshnode.cli.formats import format_size
from meshnode.cli.kimi_setup import open_books_home
from meshnode.cli.options import HomeOption, JsonOption
from meshnode.cli.output import make_console, note, print_json, say
from meshnode.cli.setup import get_now_ms
from meshnode.engines.base import EngineError
from meshnode.engines.models import resolve_model, verify_model
from meshnode.errors import ConfigError
from meshnode.weights.download import download
from meshnode.weights.gguf import read_gguf
from meshnode.weights.sources import HUB_URL, check_file_name, parse_source
from meshnode.weights.store import (
    Note,
    copy_file,
    find_model,
    prepare_target,
    write_note,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from meshnode.weights.sources import ModelSource
    from meshnode.weights.store import StoredModel

HUB_VARIABLE = "HF_ENDPOINT"
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


async def pull(
    source: Annotated[
        str,
        Parameter(
            help="builtin:NAME, file:PATH, https://..., or hf:OWNER/NAME@REVISION/FILE.",
        ),
    ],
    *,
    sha256: Annotated[str, Parameter(help="The digest it must have.", show_default=False)] = "",
    name: Annotated[str, Parameter(help="What to call it here.", show_default=False)] = "",
    max_size: Annotated[str, Parameter(help="Largest file, like 500M or 20G.")] = "20G",
    hub_url: Annotated[
        str,
        Parameter(
            help="Address of the hub, for a mirror [default: HF_ENDPOINT, else the public one].",
            show_default=False,
        ),
    ] = "",
    force: Annotated[
        bool, Parameter(help="Replace a file of that name.", negative="", show_default=False)
    ] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Fetch a model file into the home folder. A broken-off fetch goes on where it stopped."""
    folder = open_books_home(home)
    hub = hub_url or os.environ.get(HUB_VARIABLE, "") or HUB_URL
    wanted = parse_source(source, sha256=sha256, hub_url=hub)
    limit = read_size(max_size)
    if wanted.kind == "builtin":
        model = find_model(folder, wanted.location)
        await asyncio.to_thread(_check_builtin, wanted)
    else:
        model = await _fetch(folder, wanted, name, limit, force=force)
    if json:
        print_json(
            {
                "schema": "meshnode.model/1",
                "id": model.id,
                "path": str(model.path),
                "size_bytes": model.size_bytes,
                "sha256": model.sha256,
                "reference": model.reference,
            }
        )
        return OK
    say(f"model    {model.id} ({format_size(model.size_bytes)})")
    say(f"sha256   {model.sha256}")
    say(f"file     {model.path}")
    say(f"next     meshnode up --engine embedded --model '{model.reference}'")
    return OK


def _check_builtin(wanted: ModelSource) -> None:
    verify_model(resolve_model(wanted.location))


async def _fetch(
    folder: Path, wanted: ModelSource, name: str, size_max_bytes: int, *, force: bool
) -> StoredModel:
    file_name = f"{name.removesuffix('.gguf')}.gguf" if name else wanted.file_name
    target = prepare_target(folder, check_file_name(file_name), force=force)
    if wanted.kind == "file":
        digest = await asyncio.to_thread(
            copy_file,
            Path(wanted.location),
            target,
            sha256=wanted.sha256,
            size_max_bytes=size_max_bytes,
        )
    else:
        if not wanted.sha256:
            note("the hub tells this file's digest; --sha256 would let you say which you expect")
        with show_progress(file_name) as on_progress:
            digest = await download(
                wanted.location,
                target,
                sha256=wanted.sha256,
                size_max_bytes=size_max_bytes,
                on_progress=on_progress,
            )
    try:
        await asyncio.to_thread(read_gguf, target)
    except EngineError:
        target.unlink()
        raise
    size_bytes = target.stat().st_size
    write_note(
        target,
        Note(
            source=wanted.reference,
            sha256=digest,
            size_bytes=size_bytes,
            fetched_ms=get_now_ms(),
        ),
    )
    return find_model(folder, target.name)


@contextmanager
def show_progress(name: str) -> Iterator[Callable[[int, int | None], None]]:
    """A bar in a terminal; nothing in a pipe."""
    if not sys.stderr.isatty():
        yield lambda _size, _total: None
        return
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        *(BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()),
    )
    with Progress(*columns, console=make_console(stderr=True)) as progress:
        task = progress.add_task(name[:30], total=None)
        yield lambda size, total: progress.update(task, completed=size, total=total)


def read_size(text: str) -> int:
    """Bytes of a size like '500M'. Raises `ConfigError`."""
    number, unit = (text[:-1], text[-1].upper()) if text[-1:].isalpha() else (text, "")
    if not (number.isascii() and number.isdecimal() and unit in _UNITS and len(number) < 16):
        raise ConfigError(f"--max-size {text[:20]!r} is no size", hint="write 500M or 20G")
    return int(number) * _UNITS[unit]
