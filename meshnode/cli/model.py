"""`meshnode model ls` and `show`: the model files and engines of this machine."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from meshnode.cli.exits import OK
from meshnode.cli.formats import UNKNOWN, format_size
from meshnode.cli.kimi_setup import open_books_home
from meshnode.cli.options import HomeOption, JsonOption
from meshnode.cli.output import clean_line, note, print_json, print_table, say
from meshnode.config_file import load_config
from meshnode.engines.base import EngineError
from meshnode.errors import ConfigError
from meshnode.weights.gguf import SkippedList, read_gguf
from meshnode.weights.local_engines import USUAL_URLS, find_engines
from meshnode.weights.store import find_model, hash_file, list_models

if TYPE_CHECKING:
    from pathlib import Path

    from meshnode.weights.gguf import GgufInfo
    from meshnode.weights.local_engines import FoundEngine
    from meshnode.weights.store import StoredModel

_LABEL = 14


async def ls(*, home: HomeOption = None, json: JsonOption = False) -> int:
    """List bundled and fetched model files, and what engines that run here serve."""
    folder = open_books_home(home)
    stored = await asyncio.to_thread(list_models, folder)
    described = [(model, await asyncio.to_thread(_describe, model.path)) for model in stored]
    engines = await find_engines((*_get_own_urls(home), *USUAL_URLS))
    if json:
        print_json(
            {
                "schema": "meshnode.models/1",
                "files": [_to_json(model, info) for model, info in described],
                "engines": [
                    {"base_url": engine.base_url, "models": [model.id for model in engine.models]}
                    for engine in engines
                ],
            }
        )
        return OK
    rows = [_make_row(model, info) for model, info in described]
    rows += [row for engine in engines for row in _make_engine_rows(engine)]
    if not rows:
        say("no models here")
        note('get one with: pip install "meshnode[local]", or meshnode model pull')
        return OK
    print_table(("*MODEL", ">SIZE", ">PARAMS", "WEIGHTS", ">CONTEXT", "WHERE"), rows)
    return OK


def _get_own_urls(home: Path | None) -> tuple[str, ...]:
    """The configured engine's address, where it is one's own."""
    table = load_config(home).kimi
    own = table is not None and table.provider == "local" and table.base_url
    return (str(table.base_url),) if table is not None and own else ()


def _describe(path: Path) -> GgufInfo | None:
    try:
        return read_gguf(path)
    except EngineError:
        return None


def _make_row(model: StoredModel, info: GgufInfo | None) -> tuple[str, ...]:
    where = model.source.partition(":")[0]
    return (
        model.id,
        format_size(model.size_bytes),
        *(
            (UNKNOWN, "damaged?", UNKNOWN)
            if info is None
            else (
                format_parameters(info.parameters),
                info.quantisation or UNKNOWN,
                str(info.context_tokens or UNKNOWN),
            )
        ),
        where,
    )


def _make_engine_rows(engine: FoundEngine) -> list[tuple[str, ...]]:
    where = engine.base_url.removeprefix("http://").removesuffix("/v1")
    return [
        (model.id, UNKNOWN, UNKNOWN, UNKNOWN, str(model.context_tokens or UNKNOWN), where)
        for model in engine.models
    ] or [("none served", UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, where)]


def show(
    model: Annotated[str, Parameter(help="Model id, file name, path, or builtin:NAME.")],
    *,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Show what a model file says of itself, and its digest, computed anew."""
    found = find_model(open_books_home(home), model)
    info = read_gguf(found.path)
    digest = hash_file(found.path)
    if json:
        print_json(_to_json(found, info) | {"sha256": digest, "metadata": _plain(info)})
        return OK
    for label, text in (
        ("model", found.id),
        ("name", info.get_text("general.name") or UNKNOWN),
        ("licence", info.get_text("general.license") or f"{UNKNOWN}, the file does not say"),
        ("architecture", info.architecture or UNKNOWN),
        ("parameters", f"{info.parameters} ({format_parameters(info.parameters)})"),
        ("weights", f"{info.quantisation or UNKNOWN}, {info.tensors} tensors"),
        ("context", f"{info.context_tokens or UNKNOWN} tokens"),
        ("size", f"{found.size_bytes} bytes ({format_size(found.size_bytes)})"),
        ("sha256", digest),
        ("source", found.source),
        ("file", str(found.path)),
    ):
        say(f"{label:<{_LABEL}}{clean_line(text)}")
    if found.sha256 and found.sha256 != digest:
        raise ConfigError(
            f"{found.path} is not the file it was: its digest was {found.sha256[:16]}...",
            hint="fetch it again with `meshnode model pull --force`",
        )
    return OK


def format_parameters(count: int) -> str:
    """A number of parameters as models are named by it: '135M', '7.2B'."""
    for size, unit in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "K")):
        if count >= size:
            digits = 0 if count >= 10 * size else 1
            return f"{count / size:.{digits}f}{unit}"
    return str(count)


def _to_json(model: StoredModel, info: GgufInfo | None) -> dict[str, Any]:
    document: dict[str, Any] = {
        "id": model.id,
        "path": str(model.path),
        "size_bytes": model.size_bytes,
        "sha256": model.sha256 or None,
        "source": model.source,
    }
    if info is not None:
        document |= {
            "architecture": info.architecture,
            "parameters": info.parameters,
            "context_tokens": info.context_tokens or None,
            "weights": info.quantisation,
            "licence": info.get_text("general.license") or None,
        }
    return document


def _plain(info: GgufInfo) -> dict[str, Any]:
    """Metadata as JSON has it."""
    return {
        key: {"items": value.items} if isinstance(value, SkippedList) else value
        for key, value in info.metadata.items()
    }
