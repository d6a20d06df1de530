"""The file of pairs, `sealing.keys` in the home folder: encrypted under a key of the master seed.

It does not follow from the master seed, so that what is erased from it is gone: whoever steals the
seed later cannot make the pairs of before again. A file that was replaced may still lie on the disk
in pieces, as files do; without the master seed they open for nobody.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from dag.canonical import encode
from dag.kem import get_kem
from dag.keys import MLKEM768_SEED_BYTES
from meshnode.errors import KeystoreError, StorageError
from meshnode.private_files import read_private, write_private
from meshnode.sealed.keys import SealingSecrets
from meshnode.sealed.ring import PAIRS_MAX, KeyRing, Pair

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE_NAME: Final = "sealing.keys"
FILE_BYTES_MAX: Final = 65_536
_MAGIC: Final = b"meshnode/sealing-keys/1\n"
_Pairs = Annotated[tuple[Pair, ...], msgspec.Meta(min_length=1, max_length=PAIRS_MAX)]
_decoder: Final[msgspec.msgpack.Decoder[tuple[Pair, ...]]] = msgspec.msgpack.Decoder(_Pairs)


class RingFile:
    """Where one home keeps its pairs."""

    def __init__(self, home: Path, storage_key: bytes) -> None:
        self._path = home / FILE_NAME
        self._lock_path = home / f"{FILE_NAME}.lock"
        self._box = SecretBox(storage_key)

    def __repr__(self) -> str:
        return f"RingFile({self._path})"

    def read(self) -> KeyRing | None:
        """The pairs; None where there is no file. Raises `KeystoreError`."""
        try:
            data = read_private(self._path, bytes_max=FILE_BYTES_MAX)
        except StorageError as error:
            raise KeystoreError(error.message, hint=error.hint) from None
        if data is None:
            return None
        try:
            if not data.startswith(_MAGIC):
                raise self._damaged()
            return KeyRing(_decoder.decode(self._box.decrypt(data.removeprefix(_MAGIC))))
        except (CryptoError, msgspec.DecodeError, ValueError, RecursionError):
            raise self._damaged() from None

    def write(self, ring: KeyRing) -> None:
        """Replace what is kept. Raises `KeystoreError`."""
        try:
            write_private(self._path, _MAGIC + self._box.encrypt(encode(ring.pairs)))
        except StorageError as error:
            raise KeystoreError(error.message, hint=error.hint) from None

    def rotate(self, before: KeyRing, now_ms: int) -> KeyRing:
        """Make a new current pair and write it down. Raises `KeystoreError`.

        `before` holds the pairs where there is no file yet.
        """
        with self.locked():
            ring = (self.read() or before).rotate(draw_secrets(), now_ms)
            self.write(ring)
        return ring

    def forget(self, now_ms: int, grace_ms: int) -> None:
        """Erase pairs whose grace is over. Raises `KeystoreError`."""
        with self.locked():
            before = self.read()
            ring = None if before is None else before.forget(now_ms, grace_ms)
            if ring is not None and ring is not before:
                self.write(ring)
        get_kem().forget_secrets()

    def get_version(self) -> tuple[int, int]:
        """Changes whenever the file does; zeros where there is none."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return 0, 0
        return status.st_mtime_ns, status.st_ino

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Two processes at once must not undo each other."""
        try:
            handle = os.open(self._lock_path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise KeystoreError(
                f"{self._lock_path} cannot be written: {error.strerror}",
                hint="check who owns the folder",
            ) from None
        with os.fdopen(handle, "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _damaged(self) -> KeystoreError:
        return KeystoreError(
            f"{self._path} holds no sealing keys of this identity",
            hint="restore a backup, or remove it: the node then makes new ones",
        )


def draw_secrets() -> SealingSecrets:
    """A new pair of secrets."""
    secret = get_kem().make_secret(os.urandom(MLKEM768_SEED_BYTES))
    return SealingSecrets(os.urandom(32), secret)
