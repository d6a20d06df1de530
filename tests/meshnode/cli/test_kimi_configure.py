"""`meshnode kimi configure`: what is written, where the key goes, and which keys are refused."""

from __future__ import annotations

import keyring
import pytest

from meshnode.cli import kimi_keys
from meshnode.sealed_keys import write_sealed_key
from meshnode.sealing import COST_FLOOR
from tests.support.cli import run_command
from tests.support.keyrings import MemoryKeyring
from tests.support.kimi_provider import KEY, OPENROUTER_KEY, kimi_provider
from tests.support.kimi_scene import give_stdin, read_table, refuse_secrets

pytestmark = pytest.mark.usefixtures("no_keys")


def test_configure_without_anything_writes_a_reference(capsys, home):
    outcome = run_command(capsys, "kimi", "configure")
    assert outcome.code == 0
    assert read_table(home) == {"provider": "moonshot", "api_key": "env:MOONSHOT_API_KEY"}
    assert "MOONSHOT_API_KEY is not set here" in outcome.out


def test_configure_keeps_what_is_not_named(capsys, home):
    run_command(
        capsys,
        *("kimi", "configure", "--provider", "moonshot", "--region", "china", "--max-tokens", "9"),
        *("--temperature", "0.6", "--daily-cap", "1.5", "--timeout", "30", "--model", "kimi-k3"),
    )
    outcome = run_command(capsys, "kimi", "configure", "--first-token-timeout", "5", "--json")
    assert outcome.document["schema"] == "meshnode.kimi-settings/1"
    table = read_table(home)
    assert (table["region"], table["daily_cap_usd"], table["temperature"]) == ("china", "1.50", 0.6)
    run_command(capsys, "kimi", "configure", "--daily-cap", "none", "--temperature", "model")
    assert not {"daily_cap_usd", "temperature"} & set(read_table(home))
    outcome = run_command(capsys, "kimi", "configure", "--provider", "openrouter")
    table = read_table(home)
    assert table == {
        "provider": "openrouter",
        "max_tokens": 9,
        "timeout_s": 30,
        "first_token_timeout_s": 5,
        "api_key": "env:OPENROUTER_API_KEY",
    }
    assert "https://openrouter.ai/api/v1" in outcome.out


def test_configure_returns_to_the_platform_when_a_region_is_named(capsys, home):
    run_command(capsys, "kimi", "configure", "--base-url", "https://gateway.example/v1")
    run_command(capsys, "kimi", "configure", "--region", "china")
    assert "base_url" not in read_table(home)


def test_key_goes_into_the_key_ring(capsys, home, monkeypatch):
    ring = MemoryKeyring()
    monkeypatch.setattr(keyring, "get_keyring", lambda: ring)
    give_stdin(monkeypatch, f"{KEY}\n")
    outcome = run_command(capsys, "kimi", "configure", "--api-key-stdin")
    assert outcome.code == 0
    assert read_table(home)["api_key"] == "keyring:meshnode/moonshot"
    assert ring.entries == {("meshnode", "moonshot"): KEY}
    refuse_secrets(home, outcome)


def test_key_is_encrypted_where_there_is_no_key_ring(capsys, home, provider, monkeypatch):
    monkeypatch.setenv("MESHNODE_PASSPHRASE", "correct horse")
    monkeypatch.setattr(kimi_keys, "write_sealed_key", _write_cheaply)
    give_stdin(monkeypatch, f"{KEY}\n")
    outcome = run_command(
        capsys, "kimi", "configure", "--api-key-stdin", "--base-url", provider.base_url
    )
    assert outcome.code == 0
    assert read_table(home)["api_key"] == "file:moonshot"
    refuse_secrets(home, outcome)
    assert run_command(capsys, "kimi", "status").code == 0
    assert provider.authorizations[-1] == f"Bearer {KEY}"
    monkeypatch.setenv("MESHNODE_PASSPHRASE", "wrong")
    outcome = run_command(capsys, "kimi", "status")
    assert (outcome.code, "passphrase is wrong" in outcome.err) == (4, True)


def _write_cheaply(*arguments, **options):
    write_sealed_key(*arguments, **options, cost=COST_FLOOR)


def test_key_has_no_place_without_key_ring_and_passphrase(capsys, home, monkeypatch):
    give_stdin(monkeypatch, f"{KEY}\n")
    outcome = run_command(capsys, "kimi", "configure", "--api-key-stdin")
    assert outcome.code == 4
    assert "--api-key-env" in outcome.err
    assert not (home / "config.toml").exists()
    refuse_secrets(home, outcome)
    give_stdin(monkeypatch, f"{KEY}\n")
    outcome = run_command(capsys, "kimi", "configure", "--api-key-stdin", "--store", "keyring")
    assert (outcome.code, "no key ring" in outcome.err) == (2, True)


def test_key_on_the_command_line_is_taken_with_a_warning(capsys, home, monkeypatch):
    monkeypatch.setattr(keyring, "get_keyring", MemoryKeyring)
    outcome = run_command(capsys, "kimi", "configure", "--api-key", KEY)
    assert outcome.code == 0
    assert "history" in outcome.err
    refuse_secrets(home, outcome)


def test_key_is_asked_for_where_a_person_is(capsys, home, monkeypatch):
    ring = MemoryKeyring()
    monkeypatch.setattr(keyring, "get_keyring", lambda: ring)
    monkeypatch.setattr("meshnode.cli.kimi_configure.is_interactive", lambda: True)
    monkeypatch.setattr("getpass.getpass", lambda *_, **__: KEY)
    assert run_command(capsys, "kimi", "configure").code == 0
    assert ring.entries
    monkeypatch.setattr("getpass.getpass", lambda *_, **__: "")
    assert run_command(capsys, "kimi", "configure", "--provider", "openrouter").code == 0
    assert read_table(home)["api_key"] == "env:OPENROUTER_API_KEY"


def test_passphrase_is_asked_for_twice_when_it_is_new(capsys, home, monkeypatch):
    questions = []

    def ask(question, **_):
        questions.append(question)
        return "correct horse"

    monkeypatch.setattr(kimi_keys, "write_sealed_key", _write_cheaply)
    monkeypatch.setattr("meshnode.cli.setup.is_interactive", lambda: True)
    monkeypatch.setattr("getpass.getpass", ask)
    give_stdin(monkeypatch, f"{KEY}\n")
    assert run_command(capsys, "kimi", "configure", "--api-key-stdin").code == 0
    assert [question.split()[0] for question in questions] == ["Choose", "Again:"]
    give_stdin(monkeypatch, f"{KEY}\n")
    assert run_command(capsys, "kimi", "configure", "--api-key-stdin").code == 0
    assert questions[2].startswith("Passphrase of")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--api-key", "sk-kimi-canary0123456789"), "Kimi Code"),
        (("--api-key", OPENROUTER_KEY), "key of OpenRouter"),
        (("--provider", "openrouter", "--api-key", KEY), "begins with sk-or-"),
        (("--api-key", KEY, "--api-key-env", "X"), "more than one way"),
        (("--api-key", " "), "no key was given"),
        (("--api-key-env", KEY), "must be a reference"),
        (("--provider", "local"), "needs the address"),
        (("--base-url", "https://api.kimi.com/coding/v1"), "coding agents only"),
        (("--base-url", "http://8.8.8.8/v1", "--api-key", KEY), "unencrypted"),
        (("--daily-cap", "much"), "no decimal number"),
        (("--temperature", "3"), "between 0 and 2"),
        (("--temperature", "hot"), "between 0 and 2"),
        ((KEY,), "Unused Tokens"),
    ],
)
def test_configure_refuses_what_cannot_work(capsys, home, arguments, words):
    outcome = run_command(capsys, "kimi", "configure", *arguments)
    assert outcome.code == 2
    assert words in outcome.err
    assert not (home / "config.toml").exists()
    refuse_secrets(home, outcome)


def test_references_are_looked_at_when_they_are_given(capsys, home, tmp_path, monkeypatch):
    outcome = run_command(capsys, "kimi", "configure", "--api-key-env", "MY_KEY")
    assert "not there yet" in outcome.out
    monkeypatch.setenv("MY_KEY", OPENROUTER_KEY)
    outcome = run_command(capsys, "kimi", "configure", "--api-key-env", "MY_KEY")
    assert (outcome.code, "key of OpenRouter" in outcome.err) == (2, True)
    (tmp_path / "key").write_text(KEY)
    outcome = run_command(capsys, "kimi", "configure", "--api-key-file", str(tmp_path / "key"))
    assert "found" in outcome.out
    assert read_table(home)["api_key"] == f"file:{tmp_path / 'key'}"


def test_engine_of_ones_own_needs_no_key(capsys, home):
    with kimi_provider(keys=()) as provider:
        outcome = run_command(
            capsys, "kimi", "configure", "--provider", "local", "--base-url", provider.base_url
        )
        assert "key      none" in outcome.out
        assert "api_key" not in read_table(home)
        outcome = run_command(capsys, "kimi", "query", "Hello?")
        assert (outcome.code, outcome.out) == (0, "You said: Hello?\n")
        assert "own engine" in outcome.err
        assert provider.authorizations[-1] == ""
