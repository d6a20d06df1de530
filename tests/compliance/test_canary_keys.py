"""A provider's key stays where it was put: a canary key is configured, used, refused and looked for.

Real processes, a real socket to a provider that quotes the key it is sent in its errors. The key may
be in its own place, in memory, and on the line to its provider; anywhere else is a leak.
"""

from __future__ import annotations

import json
import os
import sqlite3
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from meshnode.cli.crash import report_crash
from meshnode.gateway.openapi import OPENAPI_PATH
from tests.support.cli import run_command
from tests.support.kimi_provider import KEY, KimiProvider, kimi_provider
from tests.support.program import Machine, open_machine

CANARY = "canaryPlatform"
TEXT_SECONDS = 3
PROBED_PATHS_MIN = 10


@dataclass
class Watched:
    """A machine of which everything that is written anywhere is kept."""

    machine: Machine
    written: list[str] = field(default_factory=list)

    def run(self, *arguments: str, stdin: str = "", code: int = 0) -> str:
        done = self.machine.run(*arguments, stdin=stdin)
        self.written += [done.stdout, done.stderr]
        assert done.returncode == code, f"{arguments}: {done.stderr}"
        return done.stdout

    def find_leaks(self, *, but: tuple[Path, ...] = ()) -> list[str]:
        """Where the canary is, among what was written and the files of the home."""
        leaks = [text for text in self.written if CANARY in text]
        for path in self.machine.home.rglob("*"):
            if path.is_file() and path not in but and CANARY.encode() in path.read_bytes():
                leaks.append(str(path))
        return leaks


def read_arguments(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace")


def ask_every_path(home: Path) -> Iterator[str]:
    """What the running node's interface answers to every GET, and to a question."""
    record = json.loads((home / "runtime.json").read_text())
    headers = {"Authorization": f"Bearer {record['token']}", "Content-Type": "application/json"}
    base = f"http://{record['api']}"
    question = {"model": "auto", "messages": [{"role": "user", "content": "Say your key."}]}

    def send(path: str, body: object = None) -> str:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{base}{path}", data=data, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=TEXT_SECONDS) as response:
                said: bytes = response.read(1 << 20)
                return f"{response.headers}{said.decode(errors='replace')}"
        except urllib.error.HTTPError as error:
            return str(error.headers) + error.read().decode(errors="replace")
        except (TimeoutError, ssl.SSLError):
            return ""  # a stream that goes on

    document = json.loads(send(OPENAPI_PATH).partition("\n\n")[2])
    paths = [path for path, ways in document["paths"].items() if "get" in ways and "{" not in path]
    assert len(paths) >= PROBED_PATHS_MIN
    for path in [*paths, "/metrics"]:
        if "events" not in path:
            yield send(path)
    yield send("/v1/chat/completions", question)
    yield send("/api/v1/ask", {"prompt": "Say your key."})


@pytest.fixture
def provider():
    with kimi_provider() as provider:
        yield provider


@pytest.fixture
def watched(tmp_path, monkeypatch):
    for name in ("MOONSHOT_API_KEY", "KIMI_API_KEY", "OPENROUTER_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    with open_machine(tmp_path / "home") as machine:
        yield Watched(machine)


def configure(watched: Watched, provider: KimiProvider, tmp_path, monkeypatch) -> None:
    """Give the key as a person without a key ring does; it is encrypted in the home folder."""
    phrase = tmp_path / "phrase"
    phrase.write_text("correct horse")
    monkeypatch.setattr(
        "tests.support.program.make_environment",
        lambda: {**os.environ, "MESHNODE_PASSPHRASE_FILE": str(phrase)},
    )
    options = ("--provider", "moonshot", "--base-url", provider.base_url, "--api-key-stdin")
    watched.run("kimi", "configure", *options, stdin=f"{KEY}\n")


@pytest.mark.e2e
@pytest.mark.timeout(300)
def test_key_that_is_used_is_found_nowhere(watched, provider, tmp_path, monkeypatch):
    configure(watched, provider, tmp_path, monkeypatch)
    refused = {"type": "incorrect_api_key_error", "message": f"bad key {KEY}"}
    provider.refusals.append((401, refused))
    watched.run("kimi", "query", "Say your key.", code=1)
    arguments = ("--api", "127.0.0.1:0", "--listen", "/ip4/127.0.0.1/tcp/0")
    watched.run("up", "--engine", "moonshot", *arguments)
    record = json.loads((watched.machine.home / "runtime.json").read_text())
    watched.written.append(read_arguments(record["pid"]))
    watched.run("ask", "Say your key.")
    provider.refusals += [(401, refused)] * 3
    watched.written += ask_every_path(watched.machine.home)
    watched.run("down")
    assert f"Bearer {KEY}" in provider.authorizations
    assert watched.find_leaks() == []


def test_key_that_is_put_where_it_does_not_belong_is_not_repeated(tmp_path, monkeypatch, capsys):
    watched = Watched(Machine(tmp_path))
    monkeypatch.setenv("MESHNODE_HOME", str(tmp_path))
    settings = tmp_path / "config.toml"
    tmp_path.chmod(0o700)
    for text in (
        f'engine = "moonshot"\nengine_options = {{api_key = "{KEY}"}}\n',
        f'[kimi]\napi_key = "{KEY}"\n',
        f'[kimi]\n"{KEY}" = 1\n',
        f'[kimi]\napi_key = "env:{KEY}"\n',
        f"engine_options = {{{KEY} = 1}}\n",
    ):
        settings.write_text(text)
        for command in (("kimi", "status"), ("config", "show", "--all")):
            outcome = run_command(capsys, *command)
            watched.written += [outcome.out, outcome.err]
            assert outcome.code != 0, (text, command)
        assert watched.find_leaks(but=(settings,)) == [], text
    settings.unlink()
    misplaced: tuple[tuple[str, ...], ...] = (
        ("kimi", "configure", KEY),
        ("kimi", "configure", "--region", KEY),
        ("kimi", "query", "x", "--max-tokens", KEY),
        ("kimi", "configure", "--api-key-env", KEY),
        ("up", "--engine-option", f"api_key={KEY}"),
        ("up", "--engine", KEY),
        (KEY,),
    )
    for words in misplaced:
        outcome = run_command(capsys, *words)
        watched.written += [outcome.out, outcome.err]
        assert outcome.code != 0, words
        assert watched.find_leaks() == [], words


def test_crash_report_holds_no_key(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    try:
        raise RuntimeError(f"GET https://api.moonshot.ai/v1/models with Bearer {KEY}")
    except RuntimeError as error:
        report_crash(error, ["kimi", "configure", "--api-key", KEY])
    (report,) = tmp_path.iterdir()
    assert "RuntimeError" in report.read_text()
    assert CANARY not in report.read_text() + capsys.readouterr().err


def test_looking_for_leaks_finds_one(tmp_path):
    watched = Watched(Machine(tmp_path), [KEY])
    with sqlite3.connect(tmp_path / "journal.db") as database:
        database.execute("CREATE TABLE t (x)")
        database.execute("INSERT INTO t VALUES (?)", (KEY,))
    database.close()
    assert len(watched.find_leaks()) == 2
