"""The command line: exit codes, summaries, documents."""

from __future__ import annotations

import json
import os
import runpy
import sys

import pytest

from simulations.maelstrom import commands
from simulations.maelstrom.checker import check
from simulations.maelstrom.commands import BROKEN, INTERRUPTED, USAGE, VALID, main
from simulations.maelstrom.history import Operation

SHORT = ("test", "--simulated", "--time-limit", "2", "--quiet", "1", "--nodes", "3")


def test_test_closes_with_a_summary(capsys):
    assert main((*SHORT, "--nemesis", "partition", "--nemesis-interval", "0.5")) == VALID
    captured = capsys.readouterr()
    assert captured.out.startswith("valid: ") and captured.out.count("\n") == 1
    assert "parted: " in captured.err


def test_test_prints_one_document_when_asked(capsys):
    assert main((*SHORT, "--json", "--latency-ms", "50", "-w", "g-set")) == VALID
    first = capsys.readouterr().out
    document = json.loads(first)
    assert document["valid"] and document["msgs_per_op"] > 0 and len(document["digest"]) == 32
    main((*SHORT, "--json", "--latency-ms", "50", "-w", "g-set"))
    assert capsys.readouterr().out == first


def test_test_drives_real_processes(capsys):
    line = ("test", "--nodes", "1", "--time-limit", "0.3", "--quiet", "0", "--rate", "30")
    assert main(line) == VALID
    assert "valid: " in capsys.readouterr().out


def test_test_fails_when_a_promise_is_broken(capsys, monkeypatch):
    def forge(history):
        return check([*history, Operation("read", "n1", 9, -1, 10, "ok", (777,))])

    monkeypatch.setattr(commands, "check", forge)
    assert main(SHORT) == BROKEN
    out = capsys.readouterr().out
    assert out.startswith("phantoms: 777\n") and "NOT valid: " in out


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("test", "--nodes", "0"), USAGE, "error: 0 nodes (use 1 to 128)"),
        (("test", "--bin", "/nonexistent"), USAGE, "cannot be started"),
        (("test", "--bin", f"{sys.executable} -c ''"), BROKEN, "ended by itself"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(arguments, code, says, capsys):
    assert main(arguments) == code
    assert says in capsys.readouterr().err.splitlines()[-1]


def test_interruption_has_its_own_code(monkeypatch):
    def interrupt(options):
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "_test", interrupt)
    assert main(SHORT) == INTERRUPTED


def test_module_is_a_node_without_a_command(monkeypatch):
    descriptor = os.open(os.devnull, os.O_RDWR)
    with os.fdopen(descriptor, "r+b", buffering=0) as null:
        monkeypatch.setattr(sys, "stdin", null)
        monkeypatch.setattr(sys, "stdout", null)
        monkeypatch.setattr(sys, "argv", ["maelstrom"])
        with pytest.raises(SystemExit) as caught:
            runpy.run_module("simulations.maelstrom", run_name="__main__")
    assert caught.value.code == VALID
