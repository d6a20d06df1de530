"""The key store: one small file that holds a node's master seed, from which all its keys derive.

The file is JSON, so that a person can see what it is. Encrypted form:

    {"mode": "encrypted", "version": 1, "kdf": "argon2id", "operations": 3,
     "memory_bytes": 268435456, "salt": HEX, "box": HEX}

`box` is XSalsa20-Poly1305 (SecretBox: nonce, then ciphertext) over the MessagePack array
`[created_ms, seed]`, under the key that Argon2id makes of the passphrase. The unencrypted form is
named `unencrypted-demo` and says so in clear words; it protects nothing but the file's mode does.

The cost parameters stand in the file, so that they can rise later. They have a floor, because
whoever can write the file could otherwise lower them before the next passphrase change, and a
ceiling, because a node must not be made to allocate what it does not have.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

import msgspec
from nacl import pwhash
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox
from nacl.utils import random as random_bytes

from meshnode.errors import KeystoreError, StorageError
from meshnode.private_files import read_private, write_private

if TYPE_CHECKING:
    from pathlib import Path

    from meshnode.secret import Secret

SEED_BYTES: Final = 32
FILE_BYTES_MAX: Final = 4_096

KeyMode = Literal["encrypted", "unencrypted-demo"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KdfCost:
    """What one guess of a passphrase costs."""

    operations: int
    memory_bytes: int


MODERATE: Final = KdfCost(operations=3, memory_bytes=256 * 2**20)
"""libsodium's MODERATE: about 0.7 s on one core."""
COST_FLOOR: Final = KdfCost(operations=2, memory_bytes=19 * 2**20)
COST_CEILING: Final = KdfCost(operations=16, memory_bytes=2**30)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredKey:
    """What a key store holds."""

    seed: bytes = field(repr=False)
    created_ms: int
    mode: KeyMode


class _Content(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    created_ms: int
    seed: bytes


class _Encrypted(
    msgspec.Struct, frozen=True, tag_field="mode", tag="encrypted", forbid_unknown_fields=True
):
    version: Literal[1]
    kdf: Literal["argon2id"]
    operations: int
    memory_bytes: int
    salt: str
    box: str


class _Unencrypted(
    msgspec.Struct,
    frozen=True,
    tag_field="mode",
    tag="unencrypted-demo",
    forbid_unknown_fields=True,
):
    version: Literal[1]
    warning: str
    created_ms: int
    seed: str


_WARNING: Final = "NOT ENCRYPTED: whoever reads this file can act as this node"


def create_key_store(
    path: Path,
    *,
    seed: bytes,
    created_ms: int,
    passphrase: Secret | None,
    cost: KdfCost = MODERATE,
) -> StoredKey:
    """Write a new key store; without a passphrase it is the unencrypted mode.

    Raises `KeystoreError` where a file is in the way: a key is never overwritten.
    """
    if len(seed) != SEED_BYTES:
        raise AssertionError(f"a master seed has {SEED_BYTES} bytes, not {len(seed)}")
    if path.exists():
        raise KeystoreError(
            f"{path} is there already", hint="a key is never overwritten; move the file away"
        )
    record: _Encrypted | _Unencrypted
    mode: KeyMode
    if passphrase:
        record, mode = _encrypt(_Content(created_ms, seed), passphrase, cost), "encrypted"
    else:
        record = _Unencrypted(1, _WARNING, created_ms, seed.hex())
        mode = "unencrypted-demo"
    data = msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"
    try:
        write_private(path, data)
    except StorageError as error:
        raise KeystoreError(error.message, hint=error.hint) from None
    return StoredKey(seed=seed, created_ms=created_ms, mode=mode)


def open_key_store(
    path: Path, *, passphrase: Secret | None, cost_floor: KdfCost = COST_FLOOR
) -> StoredKey:
    """Read a key store. Raises `KeystoreError` saying what is wrong, never how close a guess was."""
    record = _read_record(path)
    if isinstance(record, _Unencrypted):
        seed = _read_hex(path, record.seed)
        content = _Content(record.created_ms, seed)
        mode: KeyMode = "unencrypted-demo"
    else:
        if not passphrase:
            raise KeystoreError(
                f"{path} is encrypted and no passphrase was given",
                hint="set MESHNODE_PASSPHRASE_FILE to a file that holds it, or run in a terminal",
            )
        content = _decrypt(path, record, passphrase, cost_floor)
        mode = "encrypted"
    if len(content.seed) != SEED_BYTES:
        raise _damaged(path)
    return StoredKey(seed=content.seed, created_ms=content.created_ms, mode=mode)


def read_key_mode(path: Path) -> KeyMode | None:
    """How the key at `path` is kept, without opening it; None where there is no key store."""
    if not path.exists():
        return None
    return "unencrypted-demo" if isinstance(_read_record(path), _Unencrypted) else "encrypted"


def _encrypt(content: _Content, passphrase: Secret, cost: KdfCost) -> _Encrypted:
    salt = random_bytes(pwhash.argon2id.SALTBYTES)
    key = _derive_key(passphrase, salt, cost)
    box = SecretBox(key).encrypt(msgspec.msgpack.encode(content))
    return _Encrypted(1, "argon2id", cost.operations, cost.memory_bytes, salt.hex(), box.hex())


def _decrypt(path: Path, record: _Encrypted, passphrase: Secret, floor: KdfCost) -> _Content:
    cost = KdfCost(operations=record.operations, memory_bytes=record.memory_bytes)
    if cost.operations < floor.operations or cost.memory_bytes < floor.memory_bytes:
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
    salt, box = _read_hex(path, record.salt), _read_hex(path, record.box)
    if len(salt) != pwhash.argon2id.SALTBYTES:
        raise _damaged(path)
    try:
        data = SecretBox(_derive_key(passphrase, salt, cost)).decrypt(box)
    except (CryptoError, ValueError):
        # Which of the two it was cannot be told apart, by design.
        raise KeystoreError(
            f"{path} does not open: the passphrase is wrong or the file is damaged",
            hint="try again, or restore a backup",
        ) from None
    try:
        return msgspec.msgpack.decode(data, type=_Content)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise _damaged(path) from None


def _derive_key(passphrase: Secret, salt: bytes, cost: KdfCost) -> bytes:
    return pwhash.argon2id.kdf(
        SecretBox.KEY_SIZE,
        passphrase.reveal().encode(),
        salt,
        opslimit=cost.operations,
        memlimit=cost.memory_bytes,
    )


def _read_record(path: Path) -> _Encrypted | _Unencrypted:
    try:
        data = read_private(path, bytes_max=FILE_BYTES_MAX)
    except StorageError as error:
        raise KeystoreError(error.message, hint=error.hint) from None
    if data is None:
        raise KeystoreError(f"{path} is not there", hint="`meshnode init` makes one")
    try:
        return msgspec.json.decode(data, type=_Encrypted | _Unencrypted)
    except (msgspec.DecodeError, ValueError, RecursionError):
        # The decoder's own words may quote what the file holds.
        raise _damaged(path) from None


def _read_hex(path: Path, text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise _damaged(path) from None


def _damaged(path: Path) -> KeystoreError:
    return KeystoreError(
        f"{path} is not a key store this version can read",
        hint="restore a backup, or `meshnode identity new` starts over",
    )
