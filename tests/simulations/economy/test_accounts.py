"""Accounts follow from the seed and their names."""

from __future__ import annotations

from dag.identity import compute_author_id
from simulations.economy.accounts import Directory


def test_account_is_the_same_for_the_same_seed_and_name():
    first, second = Directory(1), Directory(1)
    assert first.add("ann") == second.add("ann")
    assert first.add("ann") is first.add("ann")
    assert first.add("ann").id not in {first.add("bob").id, Directory(2).add("ann").id}


def test_keys_are_those_that_name_the_account():
    directory = Directory(3)
    account = directory.add("ann")
    keys = directory.get_keys(account.id)
    assert keys is not None
    assert compute_author_id(keys.ed25519_key, b"") == account.id
    assert directory.find(account.id) is account
    assert directory.get_keys(bytes(32)) is None


def test_secrets_are_not_shown():
    account = Directory(3).add("ann")
    assert account.secrets.ed25519_seed.hex() not in repr(account)
    assert "secrets" not in repr(account)
