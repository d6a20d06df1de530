"""Secrets follow from one seed and are never shown."""

from __future__ import annotations

import pytest
from rich.pretty import pretty_repr

from dag.keys import derive_secret_keys, derive_storage_key


def test_secrets_are_independent_and_repeatable():
    secrets = derive_secret_keys(bytes(32))
    again = derive_secret_keys(bytes(32))
    parts = [getattr(secrets, name) for name in secrets.__struct_fields__]
    assert parts == [getattr(again, name) for name in secrets.__struct_fields__]
    assert [len(part) for part in parts] == [32, 32, 32, 64, 32]
    assert len({part[:32] for part in parts}) == 5


def test_storage_key_is_none_of_the_secrets():
    master = bytes(range(32))
    secrets = derive_secret_keys(master)
    key = derive_storage_key(master)
    assert len(key) == 32
    assert key not in [getattr(secrets, name)[:32] for name in secrets.__struct_fields__]


def test_secrets_are_masked_wherever_they_are_printed():
    secrets = derive_secret_keys(b"s" * 32)
    for text in (repr(secrets), str(secrets), f"{secrets}", pretty_repr(secrets)):
        assert "masked" in text
        assert secrets.ed25519_seed.hex() not in text
        assert repr(secrets.ed25519_seed)[2:8] not in text


def test_master_of_another_size_is_refused_without_showing_it():
    with pytest.raises(ValueError, match="32 bytes, not 3") as caught:
        derive_secret_keys(b"abc")
    assert "abc" not in str(caught.value)
