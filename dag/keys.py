"""Key records: what an author keeps secret, and what it shows.

One 32-byte master seed gives every secret, by libsodium's `crypto_kdf`: BLAKE2b keyed with the
master, a number per purpose as salt, and the context `meshnode`. So one short secret is what an
operator keeps, and no key can stand in for another.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

MASTER_BYTES: Final = 32
SEED_BYTES: Final = 32
MLKEM768_SEED_BYTES: Final = 64
MLKEM768_EXPANDED_BYTES: Final = 2_400
"""Expanded ML-KEM-768 secret key; it holds the public one."""
MLDSA65_PAIR_BYTES: Final = 5_984
"""Expanded ML-DSA-65 secret key (4,032) followed by its public key (1,952)."""
ED25519_KEY_BYTES: Final = 32
X25519_KEY_BYTES: Final = 32
MLDSA65_KEY_BYTES: Final = 1_952
MLKEM768_KEY_BYTES: Final = 1_184

_KDF_CONTEXT: Final = b"meshnode"
_ED25519_SUBKEY: Final = 1
_MLDSA65_SUBKEY: Final = 2
_X25519_SUBKEY: Final = 3
_MLKEM768_SUBKEY: Final = 4
_LIBP2P_SUBKEY: Final = 5
_STORAGE_SUBKEY: Final = 6


class SecretKeys(msgspec.Struct, frozen=True, eq=False, array_like=True):
    """An author's secrets. Never shown: `repr` and rich's printing are masked."""

    ed25519_seed: bytes
    mldsa65_secret: bytes
    """The 32-byte seed of FIPS 204; or, from a library that knows no seeds, the 5,984-byte pair of
    the expanded secret key and the public key."""
    x25519_seed: bytes
    mlkem768_seed: bytes
    """64 bytes; or, from a library that knows no seeds, the expanded 2,400."""
    libp2p_seed: bytes
    """Ed25519 seed of the transport; a key of its own, so that neither signs for the other."""

    def __repr__(self) -> str:
        return "SecretKeys(masked)"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("masked", True)]


class PublicKeys(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """An author's public keys, as its profile carries them."""

    ed25519_key: bytes
    mldsa65_key: bytes
    """Empty where the network's suite is 'ed25519'."""
    x25519_key: bytes
    mlkem768_key: bytes
    """Empty where the author cannot receive post-quantum sealed content."""
    libp2p_key: bytes


def derive_secret_keys(master: bytes) -> SecretKeys:
    """Derive every secret of an author from its master seed of 32 random bytes."""
    if len(master) != MASTER_BYTES:
        message = f"a master seed has {MASTER_BYTES} bytes, not {len(master)}"
        raise ValueError(message)
    return SecretKeys(
        ed25519_seed=_derive_subkey(master, _ED25519_SUBKEY, SEED_BYTES),
        mldsa65_secret=_derive_subkey(master, _MLDSA65_SUBKEY, SEED_BYTES),
        x25519_seed=_derive_subkey(master, _X25519_SUBKEY, SEED_BYTES),
        mlkem768_seed=_derive_subkey(master, _MLKEM768_SUBKEY, MLKEM768_SEED_BYTES),
        libp2p_seed=_derive_subkey(master, _LIBP2P_SUBKEY, SEED_BYTES),
    )


def derive_storage_key(master: bytes) -> bytes:
    """What encrypts the files that a node keeps beside its key store."""
    return _derive_subkey(master, _STORAGE_SUBKEY, SEED_BYTES)


def _derive_subkey(master: bytes, number: int, size: int) -> bytes:
    return hashlib.blake2b(
        key=master,
        salt=number.to_bytes(8, "little"),
        person=_KDF_CONTEXT,
        digest_size=size,
    ).digest()
