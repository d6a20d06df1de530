"""A key ring is used where it keeps keys, and taken for none where it fails, forgets or shows them."""

from __future__ import annotations

import sys
import types

import keyring
import pytest
from keyring.backends import chainer, fail, null

from meshnode.errors import ConfigError
from meshnode.os_keyring import describe_keyring, read_keyring, write_keyring
from meshnode.secret import Secret
from tests.support.keyrings import LockedKeyring, MemoryKeyring

KEY = Secret("sk-canary-keyring-0123456789")


def use(monkeypatch, backend):
    monkeypatch.setattr(keyring, "get_keyring", lambda: backend)


def test_key_is_kept_and_found(monkeypatch):
    use(monkeypatch, MemoryKeyring())
    assert describe_keyring() == "tests.support.keyrings.MemoryKeyring"
    assert read_keyring("meshnode", "moonshot") is None
    write_keyring("meshnode", "moonshot", KEY)
    assert read_keyring("meshnode", "moonshot") == KEY


def make_plain():
    plain = types.new_class("PlaintextKeyring", (MemoryKeyring,))
    plain.__module__ = "keyrings.alt.file"
    return plain()


@pytest.mark.parametrize("make", [fail.Keyring, null.Keyring, make_plain])
def test_key_ring_that_keeps_nothing_safe_counts_as_none(monkeypatch, make):
    use(monkeypatch, make())
    assert describe_keyring() == ""
    for act in (
        lambda: read_keyring("meshnode", "moonshot"),
        lambda: write_keyring("meshnode", "moonshot", KEY),
    ):
        with pytest.raises(ConfigError, match="no key ring"):
            act()


def test_first_useful_of_a_chain_is_used(monkeypatch):
    kept = MemoryKeyring()
    monkeypatch.setattr(chainer.ChainerBackend, "backends", [fail.Keyring(), kept])
    use(monkeypatch, chainer.ChainerBackend())
    assert describe_keyring() == "tests.support.keyrings.MemoryKeyring"
    monkeypatch.setattr(chainer.ChainerBackend, "backends", [])
    assert describe_keyring() == ""


def test_locked_key_ring_is_said_without_its_words(monkeypatch):
    use(monkeypatch, LockedKeyring())
    with pytest.raises(ConfigError, match="did not open"):
        read_keyring("meshnode", "moonshot")
    with pytest.raises(ConfigError, match="did not take") as caught:
        write_keyring("meshnode", "moonshot", KEY)
    assert "canary" not in f"{caught.value} {caught.value.hint}"


def test_package_that_is_missing_or_misled_counts_as_none(monkeypatch):
    def misled():
        raise ImportError("no such backend")

    monkeypatch.setattr(keyring, "get_keyring", misled)
    assert describe_keyring() == ""
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert describe_keyring() == ""
