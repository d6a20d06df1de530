"""How every command starts and ends: help with examples, one line of error, an exit code."""

from __future__ import annotations

import subprocess
import sys

import pytest

from meshnode.cli import app as app_module
from meshnode.cli import main
from meshnode.cli.app import run
from meshnode.cli.exits import get_exit_code
from meshnode.errors import (
    AnswerInterrupted,
    CommandRejected,
    ConfigError,
    DeadlineExceeded,
    KeystoreError,
    NoDaemon,
    NoPeerServes,
    StorageError,
    Unavailable,
)
from tests.support.cli import run_command

COMMANDS = [
    *["init", "up", "down", "status", "peers", "invite", "join", "ask", "doctor", "demo"],
    *["replay", "version", "dag log", "dag show", "dag verify", "dag export"],
    *["identity show", "identity new", "identity rebind", "identity export-public"],
]
HEAVY = {"aiohttp", "cryptography", "libp2p", "networkx", "pydantic", "trio", "xllamacpp", "nacl"}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(capsys, command):
    outcome = run_command(capsys, *command.split(), "--help")
    assert outcome.code == 0
    assert f"\n  meshnode {command}" in outcome.out or "| meshnode ask" in outcome.out
    assert "Examples:" in outcome.out


@pytest.mark.parametrize(
    "arguments", [[], ["--help"], ["--home", "X"], ["dag"], ["identity", "--help"]]
)
def test_help_lists_commands(capsys, arguments):
    outcome = run_command(capsys, *arguments)
    assert outcome.code == 0
    assert "Usage: meshnode" in outcome.out
    assert all(len(line) <= 80 for line in outcome.out.splitlines())


@pytest.mark.parametrize("arguments", [["--help"], ["version"], ["dag", "--help"], ["nonsense"]])
def test_start_loads_nothing_heavy(arguments):
    code = (
        "import sys; from meshnode.cli.app import run; "
        f"run({arguments!r}); print(*sorted(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["statsu"], "there is no command 'statsu'; did you mean 'status'?"),
        (["zzzzzz"], "there is no command 'zzzzzz'; `meshnode --help` shows"),
        (["dag", "verfy"], "there is no command 'verfy'; did you mean 'verify'?"),
        (["idntity"], "did you mean 'identity'?"),
        (["version", "--colour"], "Unknown option: --colour; `meshnode version --help`"),
        (["ask"], "`meshnode ask` needs PROMPT"),
        (["up", "--name"], "--name needs a value; `meshnode up --help`"),
        (["--home"], "--home needs a folder"),
        (["up", "--engine", "nope"], "there is no engine named 'nope'; choose one of auto, "),
        (["up", "--engine-option", "api_key=sk-1"], "must be a reference"),
        (["up", "--engine", "no pe"], "it is no engine's name; for example echo"),
        (["up", "--listen", "foo"], "is not a multiaddr; for example /ip4/0.0.0.0/tcp/4001"),
        (["invite", "--uses", "0"], "Must be >= 1"),
        (["dag", "log", "--kind", "odd"], "odd"),
    ],
)
def test_wrong_use_is_one_line_and_exit_2(capsys, arguments, words):
    outcome = run_command(capsys, *arguments)
    assert outcome.code == 2
    assert words in outcome.err
    assert outcome.err.startswith("meshnode: error: ")
    assert len(outcome.err.splitlines()) == 1
    assert outcome.out == ""


@pytest.mark.parametrize("moved", [["--home", "X"], ["--home=X"]])
def test_home_may_stand_before_the_command(moved):
    move = app_module._move_home
    assert move([*moved, "status"]) == ["status", *moved]
    assert move([*moved, "ask", "--", "-x"]) == ["ask", *moved, "--", "-x"]
    assert move(["status", *moved]) == ["status", *moved]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NoDaemon("x"), 3),
        (NoPeerServes("x"), 1),
        (CommandRejected("x"), 4),
        (KeystoreError("x"), 4),
        (DeadlineExceeded("x"), 5),
        (Unavailable("x"), 4),
        (ConfigError("x"), 2),
        (StorageError("x"), 1),
        (AnswerInterrupted("x", text=""), 1),
    ],
)
def test_errors_have_exit_codes(error, code):
    assert get_exit_code(error) == code


def raise_in_version(monkeypatch, error):
    def fail():
        raise error

    monkeypatch.setattr("meshnode.cli.version.get_version", fail)


def test_error_is_one_clean_line(capsys, monkeypatch):
    raise_in_version(monkeypatch, NoDaemon("bad\x1b[2J\nnews", hint="do this"))
    outcome = run_command(capsys, "version")
    assert outcome.code == 3
    assert outcome.err == "meshnode: error: bad\ufffd[2J news; do this\n"


@pytest.mark.parametrize("arguments", [["version"], ["--home", "x", "version"]])
def test_surprise_is_one_line_that_names_a_file(capsys, monkeypatch, tmp_path, arguments):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    raise_in_version(monkeypatch, RuntimeError("surprise"))
    monkeypatch.setattr(app_module, "_move_home", lambda _: ["version"])
    outcome = run_command(capsys, *arguments)
    assert outcome.code == 1
    assert "internal error: RuntimeError" in outcome.err
    assert len(outcome.err.splitlines()) == 1
    (log,) = tmp_path.glob("meshnode-crash-*.log")
    assert str(log) in outcome.err
    assert "surprise" in log.read_text()


def test_surprise_without_a_folder_is_still_one_line(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    raise_in_version(monkeypatch, RuntimeError("surprise"))
    outcome = run_command(capsys, "version")
    assert outcome.code == 1
    assert "could not be written" in outcome.err


def test_interrupt_is_130(capsys, monkeypatch):
    raise_in_version(monkeypatch, KeyboardInterrupt())
    assert run_command(capsys, "version").code == 130


def test_reader_that_goes_away_is_no_error():
    code = "import sys; from meshnode.cli.app import run; code = run(['--help']); sys.exit(code)"
    command = f'{sys.executable} -c "{code}" | head -c 1'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_version_as_text_and_json(capsys):
    assert run_command(capsys, "version").out.startswith("meshnode ")
    document = run_command(capsys, "version", "--json").document
    assert document["schema"] == "meshnode.version/1"


def test_version_of_a_tree_that_is_not_installed(capsys, monkeypatch):
    def fail(_):
        from importlib.metadata import PackageNotFoundError

        raise PackageNotFoundError

    monkeypatch.setattr("meshnode.cli.version.read_version", fail)
    assert run_command(capsys, "version").out == "meshnode ?\n"


def test_main_exits_with_the_code(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["meshnode", "version"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert run(["version"]) == 0
    assert "meshnode" in capsys.readouterr().out
