"""`meshnode demo`: a mesh of real processes, seen through three questions."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from cyclopts import Parameter, validators

from meshnode.cli.exits import FAILED, OK
from meshnode.cli.formats import UNKNOWN, format_count, format_duration, format_id, format_name
from meshnode.cli.options import JsonOption
from meshnode.cli.output import (
    WIDTH_MAX,
    clean,
    clean_line,
    print_json,
    print_table,
    say,
    wants_colour,
)
from meshnode.cli.paragraph import Paragraph
from meshnode.demo.mesh import NODES_MAX, NODES_MIN, open_demo_mesh
from meshnode.demo.script import ANSWER_TOKENS_MAX, run_script
from meshnode.drawing.lattice import make_lattice
from meshnode.drawing.text import draw_text
from meshnode.engines.registry import embedded_is_installed, resolve_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshnode.demo.mesh import DemoMesh
    from meshnode.demo.script import DemoReport, Exchange

_INDENT: Final = " " * 11
FINALITY_COLUMNS: Final = ("*question", "answered by", ">answer", ">final after", ">commit")
SVG_NAME: Final = "dag.svg"
_WATCH_S: Final = 1.0


async def demo(
    *,
    nodes: Annotated[
        int,
        Parameter(
            help="How many processes.", validator=validators.Number(gte=NODES_MIN, lte=NODES_MAX)
        ),
    ] = 3,
    engine: Annotated[
        Literal["auto", "echo", "embedded"],
        Parameter(help="What answers: a small real model where it is installed, or an echo."),
    ] = "auto",
    exit: Annotated[  # noqa: A002 - the option's name
        bool,
        Parameter(help="End by itself after the answers.", negative="", show_default=False),
    ] = False,
    svg: Annotated[Path | None, Parameter(help="Keep the drawing of the DAG in this file.")] = None,
    json: JsonOption = False,
) -> int:
    """Run a throw-away mesh. Nothing of it is left behind, whatever ends it."""
    show = _Show(quiet=json)
    began = time.monotonic()
    chosen = resolve_name(engine)
    if engine == "auto" and not embedded_is_installed():
        show.line('no model is installed, so an echo answers; pip install "meshnode[local]"')
    with _end_on_sigterm():
        async with open_demo_mesh(nodes=nodes, engine=chosen, tell=show.phase) as mesh:
            show.phase(f"all {nodes} are connected after {format_duration(mesh.connected_ms)}")
            report = await run_script(mesh, show)
            drawing = _write_svg(report, svg or mesh.folder / SVG_NAME)
            if json:
                print_json(report.to_json() | {"svg": str(drawing) if svg or not exit else None})
            else:
                elapsed_ms = int((time.monotonic() - began) * 1_000)
                _show_report(report, elapsed_ms)
            if not exit:
                await _stay(mesh, drawing, quiet=json)
            elif not json:
                _show_goodbye(svg)
    return OK if report.ok else FAILED


class _Show:
    """Shows the demo as it goes on; with `quiet` only its phases, on stderr."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._began = time.monotonic()
        self._paragraph = Paragraph(_INDENT)

    def phase(self, text: str) -> None:
        """A phase begins."""
        elapsed = format_duration(int((time.monotonic() - self._began) * 1_000))
        print(f"[{elapsed:>7}] {text}", file=sys.stderr if self._quiet else sys.stdout, flush=True)

    def line(self, text: str) -> None:
        """Words for people."""
        if not self._quiet:
            say(text)

    def on_question(self, asker: str, question: str) -> None:
        """A question is asked."""
        self.phase(f"{asker} asks: {question}")
        self._paragraph = Paragraph(_INDENT)

    def on_text(self, text: str) -> None:
        """A piece of the answer arrived."""
        if not self._quiet:
            self._paragraph.add(clean(text))

    def on_answer(self, exchange: Exchange) -> None:
        """The answer is complete."""
        if self._quiet:
            return
        self._paragraph.finish()
        answer = exchange.answer
        say(
            f"{_INDENT}-- {format_name(answer.name, answer.author)}, "
            f"{clean_line(answer.model, 24)}: {answer.usage.completion_tokens or UNKNOWN} tokens, "
            f"first {format_duration(answer.first_token_ms)}, "
            f"all {format_duration(answer.total_ms)}"
        )
        if answer.finish_reason == "length":
            say(f"{_INDENT}-- cut at the demo's limit of {ANSWER_TOKENS_MAX} tokens")
        say(
            f"{_INDENT}-- signed as vertex {format_id(answer.vertex, 12)}, on every node "
            f"{format_duration(exchange.everywhere_ms)} later"
        )
        say(f"{_INDENT}-- {_describe_final(exchange)}")


def _show_report(report: DemoReport, elapsed_ms: int) -> None:
    firsts = [exchange.answer.first_token_ms for exchange in report.exchanges]
    totals = [exchange.answer.total_ms for exchange in report.exchanges]
    spreads = [exchange.everywhere_ms for exchange in report.exchanges]
    slowest = UNKNOWN if None in spreads else format_duration(max(filter(None, spreads), default=0))
    authors = format_count(len(report.nodes), "node")
    digest = format_id(report.heads[0].digest, 12)
    equal = (
        f"equal on all {authors}: {report.heads[0].vertices} vertices, heads {digest}"
        if report.heads_are_equal
        else "NOT EQUAL: " + ", ".join(format_id(heads.digest) for heads in report.heads)
    )
    say()
    say("The DAG: one line per author, each letter a signed vertex, later to the right")
    lattice = make_lattice(list(report.vertices))
    say(draw_text(lattice, width=WIDTH_MAX, coloured=wants_colour()))
    say()
    print_table(FINALITY_COLUMNS, [_describe_in_row(exchange) for exchange in report.exchanges])
    say()
    say(f"answered by  {report.model} (engine {report.engine}) on {report.nodes[0]['name']}")
    say(f"stores       {equal}")
    say(f"first token  {format_duration(min(firsts))} to {format_duration(max(firsts))}")
    say(f"answers      {format_duration(min(totals))} to {format_duration(max(totals))}")
    say(f"spread       every result was on all nodes within {slowest} of its end")
    say(f"in all       {format_duration(elapsed_ms)}")


def _describe_final(exchange: Exchange) -> str:
    if exchange.final_ms is None:
        return "not final in time: the validators did not agree on it"
    return f"final after {format_duration(exchange.final_ms)}, in commit {exchange.commit}"


def _describe_in_row(exchange: Exchange) -> tuple[str, ...]:
    answer = exchange.answer
    return (
        exchange.question,
        format_name(answer.name, answer.author, 10),
        format_duration(answer.total_ms),
        format_duration(exchange.final_ms),
        str(exchange.commit or UNKNOWN),
    )


async def _stay(mesh: DemoMesh, drawing: Path, *, quiet: bool) -> None:
    """Leave the mesh to a person until Ctrl-C, or until one of its nodes is gone."""
    if not quiet:
        first, last = mesh.nodes[0].home, mesh.nodes[-1].home
        say(f"drawing      {drawing}")
        say()
        say("The mesh stays up until Ctrl-C. In another terminal:")
        say(f'  meshnode ask "Who are you?" --home {last}')
        say(f"  meshnode status --home {first}")
        say(f"  meshnode peers --home {last}")
        say(f"  meshnode dag show --home {last}")
        say(f"  meshnode dag verify --home {last}")
        sys.stdout.flush()
    try:
        while all(node.is_running() for node in mesh.nodes):  # noqa: ASYNC110 - they do not tell
            await asyncio.sleep(_WATCH_S)
    except asyncio.CancelledError:
        if not quiet:
            say("\nstopping; nothing is left behind")
        return
    gone = [node.name for node in mesh.nodes if not node.is_running()]
    if not quiet:
        say(f"{', '.join(gone)} has ended, and so does the demo")


def _show_goodbye(svg: Path | None) -> None:
    say(f"drawing      {svg}" if svg else "drawing      --svg FILE keeps one")
    say()
    say("Next: `meshnode demo` without --exit stays up to play with.")
    say("`meshnode up` starts a node of your own, `meshnode invite` lets others in.")


def _write_svg(report: DemoReport, path: Path) -> Path:
    from meshnode.cli.dag import draw, write_drawing

    write_drawing(path, draw([*report.vertices, *report.blocks], network="demo", form="svg"))
    return path


@contextmanager
def _end_on_sigterm() -> Iterator[None]:
    """Let SIGTERM end the demo as Ctrl-C does, with everything put away."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None, "a command runs in a task"
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
