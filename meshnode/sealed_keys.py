"""Keys of services in the home folder, each in an encrypted file of its own: `keys/NAME.key`.

All are sealed under the passphrase of the home, so that a node which has it can open them. What is
sealed names its entry: a file that was renamed opens as nothing, and no service is sent another's
key.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from meshnode.errors import KeystoreError, StorageError
from meshnode.keystore import open_key_store, read_key_mode
from meshnode.private_files import make_private_folder, read_private, remove_file, write_private
from meshnode.sealing import COST_FLOOR, MODERATE, KdfCost, Sealed, seal, unseal
from meshnode.secret import Secret

if TYPE_CHECKING:
    from pathlib import Path

KEY_CHARS_MAX: Final = 512
NAME_PATTERN: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_FILE_BYTES_MAX: Final = 8_192


class _Content(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    name: str
    created_ms: int
    key: str


def locate_sealed_key(home: Path, name: str) -> Path:
    """The file of an entry."""
    assert NAME_PATTERN.fullmatch(name), "entries have checked names"
    return home / "keys" / f"{name}.key"


def list_sealed_keys(home: Path) -> list[str]:
    """Names of all entries."""
    return sorted(
        path.stem for path in (home / "keys").glob("*.key") if NAME_PATTERN.fullmatch(path.stem)
    )


def write_sealed_key(
    home: Path,
    name: str,
    key: Secret,
    *,
    passphrase: Secret,
    now_ms: int,
    cost: KdfCost = MODERATE,
) -> None:
    """Keep a key in an entry, in place of what it held. Raises `KeystoreError`."""
    path = locate_sealed_key(home, name)
    content = msgspec.msgpack.encode(_Content(name, now_ms, key.reveal()))
    record = seal(content, passphrase, cost)
    data = msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"
    try:
        make_private_folder(path.parent)
        write_private(path, data)
    except StorageError as error:
        raise KeystoreError(error.message, hint=error.hint) from None


def read_sealed_key(
    home: Path, name: str, *, passphrase: Secret | None, cost_floor: KdfCost = COST_FLOOR
) -> Secret:
    """An entry's key. Raises `KeystoreError`."""
    path = locate_sealed_key(home, name)
    record = _read_record(path)
    if not passphrase:
        raise KeystoreError(
            f"{path} is encrypted and no passphrase was given",
            hint="set MESHNODE_PASSPHRASE_FILE to a file that holds it, or run in a terminal",
        )
    data = unseal(path, record, passphrase, cost_floor)
    try:
        content = msgspec.msgpack.decode(data or b"", type=_Content)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise _damaged(path) from None
    if content.name != name:
        raise KeystoreError(
            f"{path} holds the key of another entry, '{content.name}'",
            hint="rename it back, or run `meshnode kimi configure` again",
        )
    return Secret(content.key)


def remove_sealed_key(home: Path, name: str) -> None:
    """Forget an entry."""
    remove_file(locate_sealed_key(home, name))


def check_home_passphrase(
    home: Path, passphrase: Secret, *, cost_floor: KdfCost = COST_FLOOR
) -> bool:
    """Whether a passphrase is the one of this home; False where the home has none yet.

    One passphrase opens everything that a node needs, since a node is given one. Raises
    `KeystoreError` for another one.
    """
    identity = home / "identity.key"
    if read_key_mode(identity) == "encrypted":
        open_key_store(identity, passphrase=passphrase, cost_floor=cost_floor)
        return True
    for name in list_sealed_keys(home)[:1]:
        read_sealed_key(home, name, passphrase=passphrase, cost_floor=cost_floor)
        return True
    return False


def _read_record(path: Path) -> Sealed:
    try:
        data = read_private(path, bytes_max=_FILE_BYTES_MAX)
    except StorageError as error:
        raise KeystoreError(error.message, hint=error.hint) from None
    if data is None:
        raise KeystoreError(
            f"{path} is not there", hint="`meshnode kimi configure` asks for the key again"
        )
    try:
        return msgspec.json.decode(data, type=Sealed)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise _damaged(path) from None


def _damaged(path: Path) -> KeystoreError:
    return KeystoreError(
        f"{path} is not an encrypted key this version can read",
        hint="restore a backup, or run `meshnode kimi configure` again",
    )
