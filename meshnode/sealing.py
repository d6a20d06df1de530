"""Small secrets under a passphrase: Argon2id makes the key, SecretBox keeps the content.

A sealed record is plain data for a JSON file, so that a person can see what it is:

    {"mode": "encrypted", "version": 1, "kdf": "argon2id", "operations": 3,
     "memory_bytes": 268435456, "salt": HEX, "box": HEX}

`box` is XSalsa20-Poly1305 (nonce, then ciphertext). The cost parameters stand in the record, so that
they can rise later. They have a floor, because whoever can write the file could otherwise lower them
before the next passphrase change, and a ceiling, because a node must not be made to allocate what it
does not have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import msgspec
from nacl import pwhash
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox
from nacl.utils import random as random_bytes

from meshnode.errors import KeystoreError

if TYPE_CHECKING:
    from pathlib import Path

    from meshnode.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class KdfCost:
    """What one guess of a passphrase costs."""

    operations: int
    memory_bytes: int


MODERATE: Final = KdfCost(operations=3, memory_bytes=256 * 2**20)
"""libsodium's MODERATE: about 0.7 s on one core."""
COST_FLOOR: Final = KdfCost(operations=2, memory_bytes=19 * 2**20)
COST_CEILING: Final = KdfCost(operations=16, memory_bytes=2**30)


class Sealed(
    msgspec.Struct, frozen=True, tag_field="mode", tag="encrypted", forbid_unknown_fields=True
):
    """A sealed content, as its file holds it."""

    version: Literal[1]
    kdf: Literal["argon2id"]
    operations: int
    memory_bytes: int
    salt: str
    box: str


def seal(content: bytes, passphrase: Secret, cost: KdfCost = MODERATE) -> Sealed:
    """Encrypt a content under a passphrase."""
    salt = random_bytes(pwhash.argon2id.SALTBYTES)
    box = SecretBox(_derive_key(passphrase, salt, cost)).encrypt(content)
    return Sealed(1, "argon2id", cost.operations, cost.memory_bytes, salt.hex(), box.hex())


def unseal(
    path: Path, record: Sealed, passphrase: Secret, cost_floor: KdfCost = COST_FLOOR
) -> bytes | None:
    """The content of a record that was read from `path`; None where the record is damaged.

    Raises `KeystoreError` saying what is wrong, never how close a guess was.
    """
    cost = KdfCost(operations=record.operations, memory_bytes=record.memory_bytes)
    if cost.operations < cost_floor.operations or cost.memory_bytes < cost_floor.memory_bytes:
        raise KeystoreError(
            f"{path} asks for less work per guess than is safe",
            hint="it was changed or made by another program; restore a backup",
        )
    if cost.operations > COST_CEILING.operations or cost.memory_bytes > COST_CEILING.memory_bytes:
        raise KeystoreError(
            f"{path} asks for more than {COST_CEILING.memory_bytes // 2**20} MiB of memory or "
            f"{COST_CEILING.operations} passes",
            hint="it was changed or made by another program; restore a backup",
        )
    salt, box = _read_hex(record.salt), _read_hex(record.box)
    if salt is None or box is None or len(salt) != pwhash.argon2id.SALTBYTES:
        return None
    try:
        return SecretBox(_derive_key(passphrase, salt, cost)).decrypt(box)
    except (CryptoError, ValueError):
        # Which of the two it was cannot be told apart, by design.
        raise KeystoreError(
            f"{path} does not open: the passphrase is wrong or the file is damaged",
            hint="try again, or restore a backup",
        ) from None


def _derive_key(passphrase: Secret, salt: bytes, cost: KdfCost) -> bytes:
    return pwhash.argon2id.kdf(
        SecretBox.KEY_SIZE,
        passphrase.reveal().encode(),
        salt,
        opslimit=cost.operations,
        memlimit=cost.memory_bytes,
    )


def _read_hex(text: str) -> bytes | None:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return None
