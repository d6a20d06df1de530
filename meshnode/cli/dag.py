"""`meshnode dag log | show | export`: what the store of signed results holds."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from cyclopts import Parameter, validators

from dag.types import LANE_SPEECH
from meshnode.cli.exits import OK
from meshnode.cli.finality import describe_finality
from meshnode.cli.formats import (
    format_count,
    format_duration,
    format_id,
    format_name,
    format_size,
    format_time,
)
from meshnode.cli.options import HomeOption, JsonOption
from meshnode.cli.output import (
    WIDTH_MAX,
    clean,
    clean_line,
    note,
    print_json,
    print_table,
    say,
    wants_colour,
    write,
)
from meshnode.cli.stores import NoStore
from meshnode.cli.vertex_source import open_source
from meshnode.errors import CommandRejected, StorageError
from meshnode.views import make_list_document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshnode.cli.vertex_source import VertexSource
    from meshnode.views import VertexDetail, VertexInfo

LOG_COLUMNS: Final = ("id", ">commit", "kind", "author", "time", "*what")
_LIMIT_MAX: Final = 10_000
_LONG_FIELDS: Final = ("answer", "content")
_TIMES: Final = ("queued_ms", "first_token_ms", "total_ms")
_SAID: Final = 64
"""Of a parent; as long as the id above it."""
_LABEL: Final = 16
"""A whole id of 64 characters still fits beside it."""

KindOption = Annotated[
    Literal["profile", "block", "result", "note", "decision", "market", "receipt", "evidence"]
    | None,
    Parameter(help="Only vertices of this kind."),
]
DrawingForm = Literal["svg", "dot", "json", "text"]
BlocksOption = Annotated[
    bool, Parameter(help="Whether blocks are in the picture, or only what was said.")
]
LimitOption = Annotated[
    int,
    Parameter(
        help="At most this many, the newest.", validator=validators.Number(gte=1, lte=_LIMIT_MAX)
    ),
]


async def log(
    *,
    limit: LimitOption = 20,
    kind: KindOption = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """List stored vertices, newest first."""
    try:
        async with open_source(home) as source:
            found = await source.vertices(limit=limit, kind=kind)
    except NoStore:
        found = []
    if json:
        print_json(make_list_document("vertices", found))
    elif found:
        print_table(LOG_COLUMNS, [describe_in_row(vertex) for vertex in found])
    else:
        say("nothing is stored yet" if kind is None else f"no {kind} is stored yet")
    return OK


async def show(
    vertex: Annotated[
        str | None,
        Parameter(help="Its id, or the beginning of it; without one the DAG is drawn."),
    ] = None,
    *,
    full: Annotated[
        bool,
        Parameter(
            help="Fetch the text of a vertex that names it as a blob, and print it.",
            negative="",
            show_default=False,
        ),
    ] = False,
    blocks: BlocksOption = True,
    limit: LimitOption = 200,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Draw the newest part of the DAG, or show one vertex: fields, parents, answer."""
    async with open_source(home) as source:
        if vertex is None:
            found = await read_picture(source, limit=limit, blocks=blocks)
            network = await source.describe_network()
            say(draw(found, network=network, form="json" if json else "text").rstrip("\n"))
            return OK
        detail = await source.vertex(vertex)
        if full:
            detail = await add_text(source, detail)
        parents = {} if json else await read_parents(source, detail.vertex)
    if json:
        print_json(detail.to_json())
    else:
        for line in describe_vertex(detail, parents):
            say(line)
    return OK


async def add_text(source: VertexSource, detail: VertexDetail) -> VertexDetail:
    """The same vertex with the text that its blob holds, where it names one of text."""
    body = detail.body or {}
    blob, field = body.get("blob"), "answer" if "answer" in body else "content"
    if not isinstance(blob, dict) or not str(body.get("media_type", "text/")).startswith("text/"):
        return detail
    from meshnode.serving.results import compute_answer_digest

    text = (await source.read_blob(str(blob["id"]))).decode(errors="replace")
    if field == "answer" and compute_answer_digest(text).hex() != body.get("answer_digest"):
        raise CommandRejected(
            "the blob that this result names is not the answer it signs",
            hint="do not trust its author",
        )
    return replace(detail, body={**body, field: text})


async def read_parents(source: VertexSource, vertex: VertexInfo) -> dict[str, VertexInfo]:
    """What something that was said refers to, by id, as far as it is held; for blocks nothing."""
    found: dict[str, VertexInfo] = {}
    for parent in vertex.parents if vertex.lane == LANE_SPEECH else ():
        try:
            found[parent.id] = (await source.vertex(parent.id)).vertex
        except CommandRejected:
            continue  # history that is not held here
    return found


async def read_picture(source: VertexSource, *, limit: int, blocks: bool) -> list[VertexInfo]:
    """The newest vertices with the blocks that put them in order, down to where both are complete."""
    said = await source.vertices(limit=limit, kind=None)
    if not blocks:
        return said
    order = await source.vertices(limit=limit, kind="block")
    full = [part for part in (said, order) if len(part) == limit]
    floor = max((min(vertex.lamport for vertex in part) for part in full), default=0)
    return [vertex for vertex in (*said, *order) if vertex.lamport >= floor]


async def export(
    *,
    format: Annotated[DrawingForm, Parameter(help="What to write.")] = "svg",  # noqa: A002 - the option's name
    output: Annotated[
        Path | None, Parameter(help="File to write [default: standard output].")
    ] = None,
    blocks: BlocksOption = True,
    limit: LimitOption = 500,
    home: HomeOption = None,
    json: Annotated[
        bool, Parameter(help="The same as --format json.", negative="", show_default=False)
    ] = False,
) -> int:
    """Draw the DAG, or write it down for other programs."""
    async with open_source(home) as source:
        found = await read_picture(source, limit=limit, blocks=blocks)
        network = await source.describe_network()
    text = draw(found, network=network, form="json" if json else format)
    if output is None:
        write(text)
    else:
        write_drawing(output, text)
        note(f"{format_count(len(found), 'vertex', 'vertices')} written to {output}")
    return OK


def draw(vertices: list[VertexInfo], *, network: str, form: DrawingForm) -> str:
    """The DAG of these vertices as a document."""
    from meshnode.drawing.documents import make_dag_text, make_dot
    from meshnode.drawing.lattice import make_lattice
    from meshnode.drawing.svg import draw_svg
    from meshnode.drawing.text import draw_text

    lattice = make_lattice(vertices)
    if form == "json":
        return make_dag_text(lattice, network=network)
    if form == "dot":
        return make_dot(lattice, title=network)
    if form == "text":
        return draw_text(lattice, width=WIDTH_MAX, coloured=wants_colour()) + "\n"
    heads = sum(cell.is_head for cell in lattice.cells)
    subtitle = (
        f"{format_count(len(vertices), 'vertex', 'vertices')} in "
        f"{format_count(len(lattice.rows), 'chain')}, {format_count(heads, 'head')}"
    )
    return draw_svg(lattice, title=network, subtitle=subtitle)


def write_drawing(path: Path, text: str) -> None:
    """Write a file. Raises `StorageError`."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror}", hint="choose another with --output"
        ) from None


def describe_in_row(vertex: VertexInfo) -> tuple[str, ...]:
    """A vertex as a row of the log."""
    return (
        format_id(vertex.id),
        "-" if vertex.commit is None else str(vertex.commit),
        vertex.kind,
        format_name(vertex.author_name, vertex.author, 12),
        format_time(vertex.time_ms)[5:],
        clean_line(vertex.summary),
    )


def describe_vertex(detail: VertexDetail, parents: Mapping[str, VertexInfo]) -> list[str]:
    """Everything a vertex says, one fact per line; of its parents what is known of them."""
    vertex = detail.vertex
    lines = [
        _line("id", vertex.id),
        _line("kind", vertex.kind),
        _line("author", vertex.author),
        _line("", clean_line(vertex.author_name, 64)),
        _line("place", f"lane {vertex.lane}, seq {vertex.seq}, lamport {vertex.lamport}"),
        _line("time", f"{format_time(vertex.time_ms)} (by its author's clock)"),
        _line("size", f"{format_size(vertex.size_bytes)} signed"),
    ]
    if detail.finality is not None:
        lines.append(_line("final", describe_finality(detail.finality)))
    for parent in vertex.parents:
        lines.append(_line(f"parent at {parent.lamport}", parent.id))
        if (said := parents.get(parent.id)) is not None:
            name = format_name(said.author_name, said.author)
            lines.append(_line("", clean_line(f"{said.kind} by {name}: {said.summary}", _SAID)))
    if detail.body is None:
        return [*lines, _line("body", "of a form this version does not know")]
    for name, value in detail.body.items():
        if name in _LONG_FIELDS and not value and detail.body.get("blob"):
            continue
        lines += _describe_field(name, value)
    return lines


def _describe_field(name: str, value: Any) -> list[str]:
    label = name.replace("_", " ")
    if name == "blob" and isinstance(value, dict):
        return [
            _line(label, str(value.get("id"))),
            _line("", f"`meshnode blob get` fetches its {format_size(value['size_bytes'])}"),
        ]
    if name in _TIMES and isinstance(value, int):
        return [_line(label.removesuffix(" ms"), format_duration(value))]
    if name in _LONG_FIELDS and isinstance(value, str):
        if not value:
            return [_line(label, "not shared, only its digest")]
        return [f"{label}:", *_wrap(value)]
    return [_line(label, clean_line(_format_value(value)) or "-")]


def _format_value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_format_value(part) for part in value)
    if isinstance(value, dict):
        return ", ".join(f"{key}={part}" for key, part in value.items())
    return str(value)


def _wrap(text: str) -> list[str]:
    lines: list[str] = []
    for paragraph in clean(text).splitlines():
        wrapped = textwrap.wrap(paragraph, WIDTH_MAX - 4, replace_whitespace=False)
        lines += [f"    {line}" for line in wrapped or [""]]
    return lines


def _line(label: str, text: str) -> str:
    return f"{label:<{_LABEL - 1}} {text}"
