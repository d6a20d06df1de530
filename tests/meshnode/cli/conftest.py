"""Every test of a command has a home folder of its own, and nobody's settings."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home folder that does not exist yet; commands find it in the environment."""
    for name in list(os.environ):
        if name.startswith("MESHNODE_"):
            monkeypatch.delenv(name)
    monkeypatch.delenv("COLUMNS", raising=False)
    path = tmp_path / "home"
    monkeypatch.setenv("MESHNODE_HOME", str(path))
    return path
