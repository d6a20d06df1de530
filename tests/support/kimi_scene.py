"""Helpers of tests that run `meshnode kimi`."""

from __future__ import annotations

import io
import sys
import tomllib


def give_stdin(monkeypatch, text):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


def read_table(home):
    return tomllib.loads((home / "config.toml").read_text())["kimi"]


def refuse_secrets(home, outcome):
    written = "".join(
        path.read_text(errors="replace") for path in home.rglob("*") if path.is_file()
    )
    assert "canary" not in written + outcome.out + outcome.err
