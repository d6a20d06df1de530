"""Every test of a command has a home folder of its own, and nobody's settings."""

from __future__ import annotations

import os

import keyring
import pytest
from keyring.backends import fail

from tests.support.cli import run_command
from tests.support.kimi_provider import KEY, kimi_provider


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


@pytest.fixture
def no_keys(monkeypatch):
    """No keys and no key ring but those a test sets."""
    for name in ("MOONSHOT_API_KEY", "KIMI_API_KEY", "OPENROUTER_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(keyring, "get_keyring", fail.Keyring)


@pytest.fixture
def provider(no_keys):
    """A stand-in for a provider of Kimi."""
    with kimi_provider() as provider:
        yield provider


@pytest.fixture
def configured(provider, monkeypatch, capsys):
    """An account with the key in the environment."""
    monkeypatch.setenv("MOONSHOT_API_KEY", KEY)
    outcome = run_command(
        capsys, "kimi", "configure", "--provider", "moonshot", "--base-url", provider.base_url
    )
    assert outcome.code == 0, outcome.err
    return provider
