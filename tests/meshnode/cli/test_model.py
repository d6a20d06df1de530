"""`meshnode model`: files are fetched checked, shown, listed and measured."""

from __future__ import annotations

import hashlib
import sys
from typing import Any

import pytest

from meshnode.cli import model as model_command
from meshnode.cli import model_bench
from meshnode.cli.model import format_parameters
from meshnode.engines.base import EngineError, EngineFault
from meshnode.engines.echo import EchoEngine
from meshnode.engines.models import BUILTIN_MODEL
from meshnode.engines.registry import embedded_is_installed
from meshnode.weights import bench, store
from tests.support.cli import run_command
from tests.support.file_hub import file_hub
from tests.support.gguf_files import make_gguf
from tests.support.kimi_provider import kimi_provider

DATA = make_gguf()
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """No engine runs here, and no model is bundled."""

    def absent():
        raise EngineError(EngineFault.MODEL_NOT_FOUND, "not installed")

    monkeypatch.setattr(model_command, "USUAL_URLS", ("http://127.0.0.1:9/v1",))
    monkeypatch.setattr(store, "_from_builtin", absent)
    monkeypatch.delenv("HF_ENDPOINT", raising=False)


@pytest.fixture
def gguf(tmp_path):
    path = tmp_path / "Tiny.gguf"
    path.write_bytes(DATA)
    return path


def test_nothing_here_says_how_to_get_something(capsys):
    outcome = run_command(capsys, "model", "ls")
    assert (outcome.code, outcome.out) == (0, "no models here\n")
    assert "meshnode[local]" in outcome.err
    assert run_command(capsys, "model", "ls", "--json").document["files"] == []


def test_file_of_this_machine_is_copied_and_listed(capsys, home, gguf):
    outcome = run_command(capsys, "model", "pull", f"file:{gguf}", "--sha256", DIGEST)
    assert outcome.code == 0, outcome.err
    assert f"file:{home / 'models' / 'Tiny.gguf'}#sha256={DIGEST}" in outcome.out
    outcome = run_command(capsys, "model", "ls")
    assert outcome.out.splitlines()[-1].split() == [
        *("tiny", "4.4", "KiB", "3.0K", "Q4_0", "512", "file")
    ]
    again = run_command(capsys, "model", "pull", f"file:{gguf}")
    assert (again.code, "is there already" in again.err) == (4, True)
    assert run_command(capsys, "model", "pull", f"file:{gguf}", "--force").code == 0
    named = run_command(capsys, "model", "pull", f"file:{gguf}", "--name", "other", "--json")
    assert named.document["id"] == "other"
    assert run_command(capsys, "model", "ls", "--json").document["files"][0]["sha256"] == DIGEST


def test_file_of_the_hub_arrives_through_the_hubs_address(capsys, home, monkeypatch):
    with file_hub(DATA) as hub:
        outcome = run_command(
            capsys, "model", "pull", "hf:a/b@main/Tiny.gguf", "--hub-url", hub.url
        )
        assert outcome.code == 0, outcome.err
        assert hub.asked[0][1] == "/a/b/resolve/main/Tiny.gguf"
        assert "the hub tells this file's digest" in outcome.err
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        arguments = ("hf:a/b@v1/x.gguf", "--sha256", DIGEST)
        assert run_command(capsys, "model", "pull", *arguments).code == 0
    assert (home / "models" / "Tiny.gguf").read_bytes() == DATA
    outcome = run_command(capsys, "model", "show", "tiny")
    assert "hf:a/b@main/Tiny.gguf" in outcome.out


def test_progress_is_a_bar_in_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with file_hub(DATA) as hub:
        outcome = run_command(
            capsys, "model", "pull", "hf:a/b@main/Tiny.gguf", "--hub-url", hub.url
        )
    assert outcome.code == 0, outcome.err
    assert "Tiny.gguf" in outcome.err


def test_file_that_is_no_model_does_not_stay(capsys, home, tmp_path):
    path = tmp_path / "fake.gguf"
    path.write_text("not a model")
    outcome = run_command(capsys, "model", "pull", f"file:{path}")
    assert (outcome.code, "no GGUF" in outcome.err) == (1, True)
    assert list((home / "models").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("pull", "file:/absent/x.gguf"), 1, "cannot be copied"),
        (("pull", "file:{gguf}", "--sha256", "ab" * 32), 1, "digest"),
        (("pull", "file:{gguf}", "--max-size", "1K"), 4, "--max-size"),
        (("pull", "file:{gguf}", "--max-size", "big"), 2, "no size"),
        (("pull", "file:{gguf}", "--name", "../x"), 2, "no name"),
        (("pull", "https://example.org/x.gguf"), 2, "needs its digest"),
        (("pull", "builtin:other"), 4, "there is no model"),
        (("show", "absent"), 4, "there is no model"),
        (("bench", "absent"), 4, "there is no model"),
        (("bench", "--runs", "0"), 2, "runs"),
    ],
)
def test_what_cannot_be_done_is_said(capsys, gguf, arguments, code, words):
    outcome = run_command(
        capsys, "model", *(word.replace("{gguf}", str(gguf)) for word in arguments)
    )
    assert (outcome.code, words in outcome.err) == (code, True), outcome.err


def test_show_tells_licence_and_digest(capsys, gguf):
    outcome = run_command(capsys, "model", "show", str(gguf))
    assert outcome.code == 0
    for line in ("licence       apache-2.0", f"sha256        {DIGEST}", "context       512 tokens"):
        assert line in outcome.out
    document = run_command(capsys, "model", "show", str(gguf), "--json").document
    assert document["metadata"]["tokenizer.ggml.tokens"] == {"items": 3}
    assert document["licence"] == "apache-2.0"


def test_file_that_was_changed_is_noticed(capsys, home, gguf):
    run_command(capsys, "model", "pull", f"file:{gguf}")
    path = home / "models" / "Tiny.gguf"
    path.write_bytes(DATA[:-1] + b"?")
    outcome = run_command(capsys, "model", "show", "tiny")
    assert (outcome.code, "is not the file it was" in outcome.err) == (2, True)
    path.write_bytes(b"cut")
    outcome = run_command(capsys, "model", "ls")
    assert "damaged?" in outcome.out


def test_engines_that_run_here_are_listed(capsys, monkeypatch):
    with kimi_provider(keys=()) as one, kimi_provider(keys=(), models=[]) as two:
        monkeypatch.setattr(model_command, "USUAL_URLS", (two.base_url,))
        run_command(capsys, "kimi", "configure", "--provider", "local", "--base-url", one.base_url)
        outcome = run_command(capsys, "model", "ls")
        assert "kimi-k2.6" in outcome.out
        assert "none served" in outcome.out
        assert max(map(len, outcome.out.splitlines())) <= 80
        engines = run_command(capsys, "model", "ls", "--json").document["engines"]
        assert [len(engine["models"]) for engine in engines] == [3, 0]
        assert set(one.authorizations) == {""}


def test_parameters_are_counted_as_models_are_named():
    counts = (134_515_008, 7_200_000_000, 1_040_000_000_000, 999, 3_000)
    assert [format_parameters(count) for count in counts] == ["135M", "7.2B", "1.0T", "999", "3.0K"]


def test_bench_tells_rates_and_threads(capsys, gguf, monkeypatch):
    made: dict[str, Any] = {}

    def create(name, options):
        made.update(options, name=name)
        return EchoEngine()

    monkeypatch.setattr(bench, "create_engine", create)
    arguments = ("bench", str(gguf), "--runs", "2", "--threads", "3")
    outcome = run_command(capsys, "model", *arguments)
    assert outcome.code == 0, outcome.err
    assert "3 threads" in outcome.out
    assert made["model"] == f"file:{gguf}#sha256={DIGEST}"
    document = run_command(capsys, "model", *arguments, "--json").document
    assert document["schema"] == "meshnode.model-bench/1"
    assert document["answer_tokens"] > 1
    known = store.StoredModel(id="x", path=gguf, size_bytes=1, sha256="", source=BUILTIN_MODEL)
    assert model_bench.get_reference(known) == BUILTIN_MODEL


@pytest.mark.skipif(not embedded_is_installed(), reason="needs the packages of meshnode[local]")
def test_bench_measures_the_bundled_model(capsys, monkeypatch):
    monkeypatch.undo()
    arguments = ("--prompt-tokens", "16", "--answer-tokens", "4", "--runs", "1", "--threads", "1")
    outcome = run_command(capsys, "model", "bench", *arguments, "--json")
    assert outcome.code == 0, outcome.err
    document = outcome.document
    assert document["prompt_rate"] > 0
    assert document["answer_rate"] > 0
    assert document["first_token_ms"] > 0
    assert run_command(capsys, "model", "pull", BUILTIN_MODEL).code == 0
