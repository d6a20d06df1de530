"""The key store: one small file that holds a node's master seed, from which all its keys derive.

The file is JSON, so that a person can see what it is. Encrypted, it is a record of
`meshnode.sealing` over the MessagePack array `[created_ms, seed]`. The unencrypted form is named
`unencrypted-demo` and says so in clear words; it protects nothing but the file's mode does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from meshnode.errors import KeystoreError, StorageError
from meshnode.private_files import read_private, write_private
from meshnode.sealing import COST_FLOOR, MODERATE, KdfCost, Sealed, seal, unseal

if TYPE_CHECKING:
    from pathlib import Path

    from meshnode.secret import Secret

SEED_BYTES: Final = 32
FILE_BYTES_MAX: Final = 4_096

KeyMode = Literal["encrypted", "unencrypted-demo"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredKey:
    """What a key store holds."""

    seed: bytes = field(repr=False)
    created_ms: int
    mode: KeyMode


class _Content(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    created_ms: int
    seed: bytes


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
    record: Sealed | _Unencrypted
    mode: KeyMode
    if passphrase:
        content = msgspec.msgpack.encode(_Content(created_ms, seed))
        record, mode = seal(content, passphrase, cost), "encrypted"
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


def _decrypt(path: Path, record: Sealed, passphrase: Secret, floor: KdfCost) -> _Content:
    data = unseal(path, record, passphrase, floor)
    if data is None:
        raise _damaged(path)
    try:
        return msgspec.msgpack.decode(data, type=_Content)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise _damaged(path) from None


def _read_record(path: Path) -> Sealed | _Unencrypted:
    try:
        data = read_private(path, bytes_max=FILE_BYTES_MAX)
    except StorageError as error:
        raise KeystoreError(error.message, hint=error.hint) from None
    if data is None:
        raise KeystoreError(f"{path} is not there", hint="`meshnode init` makes one")
    try:
        return msgspec.json.decode(data, type=Sealed | _Unencrypted)
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
