"""`meshnode blob`: content that is too large for a signed record."""

from __future__ import annotations

import sys
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter, validators

from meshnode.cli.exits import OK
from meshnode.cli.formats import format_count, format_id, format_size, format_time
from meshnode.cli.model_pull import show_progress
from meshnode.cli.options import HomeOption, JsonOption, accept_stdin
from meshnode.cli.output import clean_line, note, print_json, print_table, say
from meshnode.client import connect
from meshnode.errors import ConfigError

if TYPE_CHECKING:
    from meshnode.blob_views import BlobInfo, BlobProgress
    from meshnode.client import RemoteNode

COLUMNS: Final = ("id", ">size", "state", "for", "added", "*name")
_STDOUT: Final = "-"
_LABEL: Final = 12

BlobArgument = Annotated[str, Parameter(help="Its id, or the beginning of one that is held here.")]
PatienceOption = Annotated[
    int,
    Parameter(
        name="--timeout",
        help="Give up after so many seconds without anything new.",
        validator=validators.Number(gte=1, lte=3_600),
    ),
]


async def put(
    file: Annotated[Path, Parameter(help="The file.")],
    *,
    name: Annotated[
        str, Parameter(help="How to call it [default: as the file].", show_default=False)
    ] = "",
    media_type: Annotated[
        str, Parameter(name="--type", help="What it is: text/plain.", show_default=False)
    ] = "",
    to: Annotated[
        tuple[str, ...],
        Parameter(
            help="A member it is given to; may be repeated [default: every member].",
            negative="",
            show_default=False,
        ),
    ] = (),
    private: Annotated[
        bool, Parameter(help="Give it to nobody.", negative="", show_default=False)
    ] = False,
    pin: Annotated[bool, Parameter(help="Whether it stays until it is unpinned.")] = True,
    share: Annotated[
        bool,
        Parameter(
            help="Say to the mesh that there is this blob, in a signed note.",
            negative="",
            show_default=False,
        ),
    ] = False,
    title: Annotated[str, Parameter(help="Of that note.", show_default=False)] = "",
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Keep a file, and give it to members who ask for its id."""
    if private and to:
        raise ConfigError("--private gives it to nobody, --to to somebody", hint="leave one out")
    if share and (private or to):
        raise ConfigError("--share is for every member", hint="leave out --private and --to")
    async with connect(home) as node:
        with show_progress(file.name) as on_progress:
            info = await node.blobs.put(
                file,
                name=name,
                media_type=media_type,
                readers=to if to or private else None,
                pin=pin,
                on_progress=on_progress,
            )
        vertex = None
        if share:
            vertex = await node.blobs.share(info.id, title=title)
            info = await node.blobs.show(info.id)
    if json:
        shared = {} if vertex is None else {"note": vertex.id}
        print_json({**info.to_json(), **shared})
        return OK
    describe(info)
    if vertex is not None:
        say(f"{'note':<{_LABEL}}{vertex.id}")
    return OK


async def get(
    blob: BlobArgument,
    *,
    output: Annotated[
        str,
        Parameter(
            name=("--output", "-o"),
            help="File to write; - for standard output.",
            allow_leading_hyphen=True,
            validator=accept_stdin,
        ),
    ],
    timeout_s: PatienceOption = 30,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Write a blob to a file, fetched from whoever has it. A broken-off fetch goes on later."""
    if output == _STDOUT and json:
        raise ConfigError("--json and -o - both write to standard output", hint="give a file")
    async with connect(home) as node:
        info = await _fetch(node, blob, patience_ms=timeout_s * 1_000)
        if output == _STDOUT:
            async with aclosing(node.blobs.open(info.id)) as pieces:
                async for piece in pieces:
                    sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
        else:
            await node.blobs.save(info.id, Path(output))
    if json:
        print_json({**info.to_json(), "path": output})
    elif output != _STDOUT:
        note(f"{format_size(info.size_bytes)} written to {output}")
    return OK


async def _fetch(node: RemoteNode, blob: str, *, patience_ms: int) -> BlobInfo:
    with show_progress(blob[:12]) as on_progress:

        def show_step(step: BlobProgress) -> None:
            on_progress(step.held_bytes, step.size_bytes or None)

        return await node.blobs.fetch(blob, patience_ms=patience_ms, on_progress=show_step)


async def ls(*, home: HomeOption = None, json: JsonOption = False) -> int:
    """List what this node holds, and the room it takes."""
    async with connect(home) as node:
        shelf = await node.blobs.list()
    if json:
        print_json(shelf.to_json())
        return OK
    if shelf.blobs:
        print_table(COLUMNS, [describe_in_row(blob) for blob in shelf.blobs])
    used, quota = format_size(shelf.used_bytes), format_size(shelf.quota_bytes)
    say(f"{format_count(len(shelf.blobs), 'blob')}, {used} of {quota}")
    return OK


async def show(blob: BlobArgument, *, home: HomeOption = None, json: JsonOption = False) -> int:
    """Show one blob that this node holds."""
    async with connect(home) as node:
        info = await node.blobs.show(blob)
    if json:
        print_json(info.to_json())
    else:
        describe(info)
    return OK


async def pin(
    blob: BlobArgument,
    *,
    off: Annotated[
        bool, Parameter(help="It need not stay any more.", negative="", show_default=False)
    ] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Keep a blob whatever happens, or no longer."""
    async with connect(home) as node:
        info = await node.blobs.pin(blob, pinned=not off)
    if json:
        print_json(info.to_json())
    else:
        say(f"{format_id(info.id)} {'is pinned' if info.pinned else 'is not pinned any more'}")
    return OK


async def rm(
    blob: BlobArgument,
    *,
    force: Annotated[
        bool,
        Parameter(
            help="Also where it is pinned, or named by vertices of this node.",
            negative="",
            show_default=False,
        ),
    ] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Forget a blob."""
    async with connect(home) as node:
        removed = await node.blobs.remove(blob, force=force)
    if json:
        print_json({"schema": "meshnode.blob_removed/1", "id": removed})
    else:
        say(f"{format_id(removed)} is gone from this node")
    return OK


def describe_in_row(blob: BlobInfo) -> tuple[str, ...]:
    """A blob as a row of the list."""
    return (
        format_id(blob.id),
        format_size(blob.size_bytes),
        describe_state(blob),
        describe_readers(blob),
        format_time(blob.added_ms)[5:],
        clean_line(blob.name),
    )


def describe_state(blob: BlobInfo) -> str:
    """Whether it is here, and stays."""
    if not blob.whole:
        return "partial"
    return "pinned" if blob.pinned else "named" if blob.referenced else "kept"


def describe_readers(blob: BlobInfo) -> str:
    """Who is given it."""
    if blob.readers is None:
        return "all"
    return format_count(len(blob.readers), "member") if blob.readers else "nobody"


def describe(blob: BlobInfo) -> None:
    """Everything about a blob, one fact per line."""
    facts = [
        ("id", blob.id),
        ("size", f"{format_size(blob.size_bytes)} in {format_count(blob.chunks, 'chunk')}"),
        ("state", describe_state(blob)),
        ("given to", describe_readers(blob)),
        ("added", format_time(blob.added_ms)),
        ("from", "this node" if blob.own else "the mesh"),
        ("name", clean_line(blob.name) or "-"),
        ("type", clean_line(blob.media_type) or "-"),
    ]
    facts += [("reader", reader) for reader in blob.readers or ()]
    for label, text in facts:
        say(f"{label:<{_LABEL}}{text}")
