"""`meshnode model bench`: how fast a model is on this machine."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter, validators

from meshnode.cli.exits import OK
from meshnode.cli.formats import format_duration
from meshnode.cli.kimi_setup import open_books_home
from meshnode.cli.options import HomeOption, JsonOption
from meshnode.cli.output import clean_line, note, print_json, say
from meshnode.engines.models import BUILTIN_MODEL
from meshnode.weights.store import StoredModel, find_model, hash_file

_LABEL = 12


async def bench(
    model: Annotated[
        str, Parameter(help="Model id, file name, path, or builtin:NAME.")
    ] = BUILTIN_MODEL,
    *,
    threads: Annotated[
        int,
        Parameter(
            help="Threads; 0 leaves one core to everything else.",
            validator=validators.Number(gte=0, lte=512),
        ),
    ] = 0,
    prompt_tokens: Annotated[
        int,
        Parameter(help="Length of the prompt.", validator=validators.Number(gte=16, lte=65_536)),
    ] = 512,
    answer_tokens: Annotated[
        int, Parameter(help="Length of the answer.", validator=validators.Number(gte=2, lte=4_096))
    ] = 128,
    runs: Annotated[
        int,
        Parameter(help="How often; medians are told.", validator=validators.Number(gte=1, lte=99)),
    ] = 3,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Measure the embedded engine: reading a prompt, writing an answer, the first token."""
    from meshnode.weights.bench import run_bench

    found = find_model(open_books_home(home), model)
    result = await run_bench(
        get_reference(found),
        threads=threads,
        prompt_tokens=prompt_tokens,
        answer_tokens=answer_tokens,
        runs=runs,
        on_run=lambda number: note(f"run {number} of {runs} ..."),
    )
    if json:
        print_json(result.to_json())
        return OK
    for label, text in (
        ("model", f"{result.model}, {result.threads} thread{'s' * (result.threads != 1)}"),
        ("loaded in", format_duration(result.load_ms)),
        ("first token", f"after {format_duration(result.first_token_ms)}, for one line"),
        ("prompt", f"{result.prompt_rate} tokens/s, over {result.prompt_tokens} tokens"),
        ("answer", f"{result.answer_rate} tokens/s, over {result.answer_tokens} tokens"),
        ("measured", f"medians of {result.runs} runs; other work on the machine slows them"),
    ):
        say(f"{label:<{_LABEL}}{clean_line(text)}")
    return OK


def get_reference(found: StoredModel) -> str:
    """How the embedded engine is told of a model; a digest nobody knows is computed."""
    if found.source == BUILTIN_MODEL or found.sha256:
        return found.reference
    return f"file:{found.path}#sha256={hash_file(found.path)}"
