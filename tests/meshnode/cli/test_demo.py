"""What `meshnode demo` shows; the real thing is in tests/e2e."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest

from meshnode.cli import demo as demo_module
from meshnode.demo.script import DemoReport, Exchange
from meshnode.views import HeadsInfo
from tests.support.cli import run_command
from tests.support.views import make_answer, make_id, make_small_dag, make_vertex


@pytest.fixture
def shown(monkeypatch, tmp_path):
    """A demo whose mesh and report are made up."""
    heads = [HeadsInfo(digest=make_id("a"), vertices=6, lamport=2, heads=())] * 2
    state = SimpleNamespace(heads=heads, everywhere_ms=4, final_ms=210, running=[True, True])

    @asynccontextmanager
    async def open_demo_mesh(*, nodes, engine, tell):
        tell(f"starting ada with {engine}")
        members = [
            SimpleNamespace(
                name=name, home=tmp_path / name, is_running=lambda n=n: state.running[n]
            )
            for n, name in enumerate(("ada", "bell"))
        ]
        yield SimpleNamespace(nodes=members, folder=tmp_path, connected_ms=900)

    async def run_script(mesh, audience):
        audience.on_question("bell", "Why?")
        audience.on_text("Because\x1b[2J of it. " * 9)
        exchange = Exchange(
            asker="bell",
            question="Why?",
            answer=make_answer(finish_reason="length"),
            everywhere_ms=state.everywhere_ms,
            final_ms=state.final_ms,
            commit=None if state.final_ms is None else 7,
        )
        audience.on_answer(exchange)
        return DemoReport(
            nodes=({"name": "ada"}, {"name": "bell"}),
            engine="echo",
            model="echo",
            ready_ms=1,
            connected_ms=2,
            exchanges=(exchange,),
            heads=tuple(state.heads),
            vertices=tuple(make_small_dag()),
            blocks=(make_vertex("x1", "alice", 0, lane=1, kind="block"),),
        )

    monkeypatch.setattr(demo_module, "open_demo_mesh", open_demo_mesh)
    monkeypatch.setattr(demo_module, "run_script", run_script)
    monkeypatch.setattr(demo_module, "embedded_is_installed", lambda: False)
    return state


def test_demo_shows_answers_drawing_and_what_next(capsys, shown):
    outcome = run_command(capsys, "demo", "--exit")
    assert outcome.code == 0
    assert all(len(line) <= 80 for line in outcome.out.splitlines())
    assert "\x1b" not in outcome.out
    assert "alice  P─────R" in outcome.out
    assert "cut at the demo's limit" in outcome.out
    assert "-- final after 210 ms, in commit 7" in outcome.out
    (row,) = [line for line in outcome.out.splitlines() if line.startswith("Why?  ")]
    assert row.split() == ["Why?", "bob", "345", "ms", "210", "ms", "7"]
    assert "equal on all 2 nodes: 6 vertices" in outcome.out
    assert "`meshnode up` starts a node" in outcome.out


def test_demo_says_when_stores_differ(capsys, shown):
    shown.heads = [
        HeadsInfo(digest=make_id(name), vertices=6, lamport=2, heads=()) for name in "ab"
    ]
    shown.everywhere_ms = shown.final_ms = None
    outcome = run_command(capsys, "demo", "--exit")
    assert outcome.code == 1
    assert "NOT EQUAL" in outcome.out
    assert "not final in time" in outcome.out
    assert "on all nodes within ?" in outcome.out


def test_demo_as_json_keeps_words_out_of_the_document(capsys, shown, tmp_path):
    drawing = tmp_path / "kept.svg"
    outcome = run_command(capsys, "demo", "--exit", "--json", "--svg", str(drawing))
    assert outcome.document["svg"] == str(drawing)
    assert drawing.read_text().startswith("<svg")
    assert "starting ada" in outcome.err


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_demo_stays_until_interrupted(capsys, monkeypatch, shown, arguments):
    async def interrupt(_):
        raise asyncio.CancelledError

    monkeypatch.setattr("asyncio.sleep", interrupt)
    outcome = run_command(capsys, "demo", *arguments)
    assert outcome.code == 0
    assert bool(arguments) or "nothing is left behind" in outcome.out


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_demo_ends_when_a_node_is_gone(capsys, shown, arguments):
    shown.running = [True, False]
    outcome = run_command(capsys, "demo", *arguments)
    assert bool(arguments) or "bell has ended" in outcome.out


def test_demo_names_the_way_to_a_model(capsys, shown):
    assert 'pip install "meshnode[local]"' in run_command(capsys, "demo", "--exit").out
