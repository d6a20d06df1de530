"""Reads that block inside a command, and Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import pytest

from meshnode.cli.blocking import interruptible
from tests.support.cli import run_command


class Keyboard:
    """A standard input at which somebody presses Ctrl-C instead of writing."""

    def __init__(self):
        self.buffer = self
        self.finished = False

    def read(self, size):
        os.kill(os.getpid(), signal.SIGINT)
        self.finished = True
        return b"never"

    def readline(self, size):
        return self.read(size).decode()


@pytest.mark.parametrize("command", ["ask", "join"])
def test_ctrl_c_ends_a_command_that_reads(capsys, monkeypatch, command):
    keyboard = Keyboard()
    monkeypatch.setattr(sys, "stdin", keyboard)
    outcome = run_command(capsys, command, "-")
    assert (outcome.code, outcome.out, outcome.err) == (130, "", "")
    assert not keyboard.finished


def test_ctrl_c_ends_the_question_for_a_passphrase(capsys, monkeypatch, tmp_path):
    keyboard = Keyboard()
    monkeypatch.setattr("getpass.getpass", lambda *_, **__: keyboard.read(1))
    monkeypatch.setattr("meshnode.cli.setup.is_interactive", lambda: True)
    outcome = run_command(capsys, "up", "--home", str(tmp_path / "home"), "--engine", "none")
    assert outcome.code == 130
    assert not keyboard.finished
    assert not (tmp_path / "home" / "identity.key").exists()


async def test_other_threads_are_left_alone():
    def read():
        with interruptible():
            return "read"

    assert await asyncio.to_thread(read) == "read"


def test_handler_is_put_back():
    before = signal.getsignal(signal.SIGINT)
    with interruptible():
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGINT) is before
