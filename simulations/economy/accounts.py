"""Accounts with keys, all of them made from one seed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from dag.identity import compute_author_id, derive_public_keys
from dag.keys import PublicKeys, SecretKeys, derive_secret_keys
from simulations.streams import derive_seed

SUITE: Final = "ed25519"


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who has money, and can sign."""

    name: str
    id: bytes
    secrets: SecretKeys = field(repr=False, compare=False)


class Directory:
    """All accounts, and the keys by which the market checks what they sign."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._accounts: dict[str, Account] = {}
        self._keys: dict[bytes, PublicKeys] = {}
        self._names: dict[bytes, str] = {}

    def add(self, name: str) -> Account:
        """The account of a name; the same one for as long as the seed is the same."""
        known = self._accounts.get(name)
        if known is not None:
            return known
        secrets = derive_secret_keys(derive_seed(self._seed, f"account {name}"))
        keys = derive_public_keys(secrets, SUITE)
        account = Account(name, compute_author_id(keys.ed25519_key, b""), secrets)
        self._accounts[name] = account
        self._keys[account.id] = keys
        self._names[account.id] = name
        return account

    def get_keys(self, author: bytes) -> PublicKeys | None:
        """An author's keys, None if it is unknown."""
        return self._keys.get(author)

    def find(self, account_id: bytes) -> Account:
        """The account of an id that is known."""
        return self._accounts[self._names[account_id]]
