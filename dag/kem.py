"""ML-KEM-768 (FIPS 203): two libraries behind one small interface.

`cryptography` is the first choice: audited, and its secrets are the 64-byte seeds of the standard.
`pqcrypto` is the second, for builds that lack it; it knows the expanded form only, 2,400 bytes that
hold the public key. Both agree on every public key, ciphertext and shared secret.

Whoever encapsulates to a key that somebody else has published finds out here whether it is one.
"""

from __future__ import annotations

import functools
from typing import Final, NamedTuple, Protocol

from dag.errors import MalformedMessage, UnusableKey
from dag.keys import MLKEM768_EXPANDED_BYTES, MLKEM768_KEY_BYTES, MLKEM768_SEED_BYTES

MLKEM768_CIPHERTEXT_BYTES: Final = 1_088
SHARED_SECRET_BYTES: Final = 32
EXPANDED_SECRETS_MAX: Final = 8
"""Own secrets kept in the form they work in; making it costs 120 us, using it 42."""
PARSED_KEYS_MAX: Final = 256
"""Keys of others kept parsed; parsing costs as much as an encapsulation."""
_PUBLIC_KEY_AT: Final = 1_152
"""Where the expanded form holds its public key."""


class Encapsulated(NamedTuple):
    """A secret that only one key can find again, and what it finds it from."""

    shared: bytes
    ciphertext: bytes

    def __repr__(self) -> str:
        return "Encapsulated(masked)"


class KemProvider(Protocol):
    """ML-KEM-768 as one library offers it; all sizes were checked before."""

    @property
    def name(self) -> str:
        """The library."""

    def make_secret(self, seed: bytes) -> bytes:
        """A new secret of 64 random bytes, in the form this library uses."""

    def derive_public_key(self, secret: bytes) -> bytes:
        """The 1,184-byte public key of a secret."""

    def encapsulate(self, public_key: bytes) -> Encapsulated:
        """A fresh shared secret for a key. Raises `MalformedMessage` for what is no key."""

    def decapsulate(self, secret: bytes, ciphertext: bytes) -> bytes:
        """The shared secret of a ciphertext; one that was changed gives another, never an error."""

    def forget_secrets(self) -> None:
        """Drop what was kept of secrets, for one of them is to be erased."""


class CryptographyKem:
    """ML-KEM-768 from `cryptography`."""

    name: Final = "cryptography"

    def __init__(self) -> None:
        from cryptography.exceptions import UnsupportedAlgorithm

        try:
            from cryptography.hazmat.primitives.asymmetric.mlkem import (
                MLKEM768PrivateKey,
                MLKEM768PublicKey,
            )

            MLKEM768PrivateKey.from_seed_bytes(bytes(MLKEM768_SEED_BYTES))
        except (ImportError, UnsupportedAlgorithm) as error:
            raise UnusableKey("this build of `cryptography` has no ML-KEM-768") from error
        self._expand = functools.lru_cache(EXPANDED_SECRETS_MAX)(MLKEM768PrivateKey.from_seed_bytes)
        self._parse = functools.lru_cache(PARSED_KEYS_MAX)(MLKEM768PublicKey.from_public_bytes)

    def make_secret(self, seed: bytes) -> bytes:
        """See `KemProvider`."""
        return seed

    def derive_public_key(self, secret: bytes) -> bytes:
        """See `KemProvider`."""
        return self._expand(secret).public_key().public_bytes_raw()

    def encapsulate(self, public_key: bytes) -> Encapsulated:
        """See `KemProvider`."""
        try:
            return Encapsulated(*self._parse(public_key).encapsulate())
        except ValueError:
            raise MalformedMessage("an ML-KEM-768 key that is none") from None

    def decapsulate(self, secret: bytes, ciphertext: bytes) -> bytes:
        """See `KemProvider`."""
        return self._expand(secret).decapsulate(ciphertext)

    def forget_secrets(self) -> None:
        """See `KemProvider`."""
        self._expand.cache_clear()


class PqcryptoKem:
    """ML-KEM-768 from `pqcrypto`."""

    name: Final = "pqcrypto"

    def __init__(self) -> None:
        from pqcrypto.kem import ml_kem_768

        self._mlkem = ml_kem_768

    def make_secret(self, seed: bytes) -> bytes:
        """See `KemProvider`; this library draws its own randomness."""
        del seed
        _, secret = self._mlkem.keygen()
        return bytes(secret)

    def derive_public_key(self, secret: bytes) -> bytes:
        """See `KemProvider`."""
        return secret[_PUBLIC_KEY_AT : _PUBLIC_KEY_AT + MLKEM768_KEY_BYTES]

    def encapsulate(self, public_key: bytes) -> Encapsulated:
        """See `KemProvider`."""
        try:
            ciphertext, shared = self._mlkem.encaps(public_key)
        except ValueError:
            raise MalformedMessage("an ML-KEM-768 key that is none") from None
        return Encapsulated(bytes(shared), bytes(ciphertext))

    def decapsulate(self, secret: bytes, ciphertext: bytes) -> bytes:
        """See `KemProvider`."""
        return bytes(self._mlkem.decaps(secret, ciphertext))

    def forget_secrets(self) -> None:
        """See `KemProvider`; this library keeps nothing."""


@functools.cache
def get_kem() -> KemProvider:
    """The library that makes keys and encapsulates here: `cryptography` if it can, else `pqcrypto`."""
    try:
        return CryptographyKem()
    except UnusableKey:
        return _get_second_kem()


@functools.cache
def _get_second_kem() -> KemProvider:
    return PqcryptoKem()


def get_secret_kem(secret: bytes) -> KemProvider:
    """The library that can use this form of secret. Raises `UnusableKey`."""
    if len(secret) == MLKEM768_EXPANDED_BYTES:
        return _get_second_kem()
    provider = get_kem()
    if len(secret) != MLKEM768_SEED_BYTES or provider.name != CryptographyKem.name:
        raise UnusableKey(
            f"an ML-KEM-768 secret of {len(secret)} bytes cannot be used by {provider.name}",
            hint="`meshnode identity rotate` makes another",
        )
    return provider


def derive_kem_key(secret: bytes) -> bytes:
    """The public key of a secret; empty where no library here can use it."""
    try:
        return get_secret_kem(secret).derive_public_key(secret)
    except UnusableKey:
        return b""
