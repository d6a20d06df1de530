"""`meshnode config show` names every origin and shows no key."""

from __future__ import annotations

import pytest

from tests.support.cli import run_command

KEY = "sk-canaryPlatform0123456789abcdef"


@pytest.fixture
def write(home):
    def write(text):
        home.mkdir(exist_ok=True)
        (home / "config.toml").write_text(text)

    return write


def test_settings_are_shown_with_their_origin(capsys, write, monkeypatch):
    write(
        'name = "kitchen"\nlisten = ["/ip4/127.0.0.1/tcp/1"]\nengine = "moonshot"\n'
        '[kimi]\nprovider = "moonshot"\napi_key = "env:MY_KEY"\nmax_tokens = 9\n'
    )
    monkeypatch.setenv("MESHNODE_API", "127.0.0.1:0")
    outcome = run_command(capsys, "config", "show")
    assert outcome.code == 0
    shown = {line.split()[0]: line.split()[1:] for line in outcome.out.splitlines()[2:]}
    assert shown["name"] == ["kitchen", "config.toml"]
    assert shown["api"] == ["127.0.0.1:0", "MESHNODE_API"]
    assert shown["kimi.api_key"] == ["env:MY_KEY", "config.toml"]
    assert shown["engine_options.api_key"][0] == "env:MY_KEY"
    assert "probe" not in shown
    assert max(map(len, outcome.out.splitlines())) <= 80
    settings = run_command(capsys, "config", "show", "--all", "--json").document["settings"]
    assert settings["probe"] == {"value": "False", "origin": "default"}
    assert settings["listen"]["value"] == "/ip4/127.0.0.1/tcp/1"
    assert "passphrase" not in settings


@pytest.mark.parametrize(
    "text",
    [
        f'engine_options = {{api_key = "{KEY}"}}',
        'engine_options = {api_key = "canary without any shape"}',
        f'name = "{KEY}"',
        f'engine_options = {{token = "{KEY}"}}',
    ],
)
def test_key_in_the_settings_is_masked_and_told(capsys, write, text):
    write(f"{text}\n")
    for arguments in ((), ("--json",)):
        outcome = run_command(capsys, "config", "show", *arguments)
        assert outcome.code == 1
        assert "********" in outcome.out
        assert "canary" not in outcome.out + outcome.err
        assert "get a new key" in outcome.err
