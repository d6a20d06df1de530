"""API keys of local clients: what each may do, how much, until when. Only digests are kept.

A key reads `sk-mesh-ID-SECRET` and is shown once. The file holds its id and the SHA-256 of the
whole; the secret part is 256 random bits, so a plain digest cannot be guessed back.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec

from meshnode.errors import CommandRejected, StorageError
from meshnode.private_files import make_private_folder, read_private, write_private
from meshnode.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

Scope = Literal["chat", "models", "read", "market", "mcp", "metrics", "admin"]
SCOPES: Final[tuple[Scope, ...]] = (
    "chat",
    "models",
    "read",
    "market",
    "mcp",
    "metrics",
    "admin",
)
SCOPES_DEFAULT: Final[tuple[Scope, ...]] = ("chat", "models")
FILE_NAME: Final = "api_keys.json"
KEYS_MAX: Final = 256
FILE_BYTES_MAX: Final = 1_000_000
PREFIX: Final = "sk-mesh-"
_ID_BYTES: Final = 5
_SECRET_BYTES: Final = 32

_Limit = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


class ApiKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of a key; the key itself is not."""

    id: str
    name: Annotated[str, msgspec.Meta(max_length=64)]
    digest: Annotated[str, msgspec.Meta(min_length=64, max_length=64)]
    scopes: tuple[Scope, ...]
    created_ms: int
    expires_ms: int | None = None
    requests_per_min: _Limit | None = None
    concurrent: _Limit | None = None
    """Questions at once."""
    day_uruv: Annotated[int, msgspec.Meta(ge=0, le=2**62)] = 0
    """What answers may cost in a day (UTC); 0 allows only what is free."""

    def is_expired(self, now_ms: int) -> bool:
        """Whether its time is over."""
        return self.expires_ms is not None and now_ms >= self.expires_ms


class _KeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: Literal[1]
    keys: Annotated[tuple[ApiKey, ...], msgspec.Meta(max_length=KEYS_MAX)]


def read_keys(home: Path) -> tuple[ApiKey, ...]:
    """All keys of a home folder. Raises `StorageError`."""
    path = home / FILE_NAME
    data = read_private(path, bytes_max=FILE_BYTES_MAX)
    if data is None:
        return ()
    try:
        return msgspec.json.decode(data, type=_KeyFile).keys
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise StorageError(
            f"{path} is damaged", hint="remove it and make new keys with `meshnode keys create`"
        ) from None


def create_key(
    home: Path,
    *,
    name: str,
    now_ms: int,
    scopes: Sequence[Scope] = SCOPES_DEFAULT,
    expires_ms: int | None = None,
    requests_per_min: int | None = None,
    concurrent: int | None = None,
    day_uruv: int = 0,
) -> tuple[ApiKey, Secret]:
    """Make a key and write its digest down. Raises `CommandRejected`, `StorageError`."""
    make_private_folder(home)
    with _locked(home):
        keys = tuple(key for key in read_keys(home) if not key.is_expired(now_ms))
        if any(key.name == name for key in keys):
            raise CommandRejected(
                f"there is a key called '{name}'", hint=f"`meshnode keys revoke {name}` ends it"
            )
        if len(keys) >= KEYS_MAX:
            raise CommandRejected(f"there are {KEYS_MAX} keys", hint="revoke one first")
        key_id = secrets.token_hex(_ID_BYTES)
        token = f"{PREFIX}{key_id}-{secrets.token_urlsafe(_SECRET_BYTES)}"
        key = ApiKey(
            id=key_id,
            name=name,
            digest=_compute_digest(token),
            scopes=tuple(scope for scope in SCOPES if scope in scopes),
            created_ms=now_ms,
            expires_ms=expires_ms,
            requests_per_min=requests_per_min,
            concurrent=concurrent,
            day_uruv=day_uruv,
        )
        _write(home, (*keys, key))
    return key, Secret(token)


def revoke_key(home: Path, wanted: str) -> ApiKey:
    """End a key, by its id or name, at once. Raises `CommandRejected`, `StorageError`."""
    with _locked(home):
        keys = read_keys(home)
        key = next((key for key in keys if wanted in {key.id, key.name}), None)
        if key is None:
            raise CommandRejected(
                f"there is no key '{wanted[:64]}'", hint="`meshnode keys list` shows them"
            )
        _write(home, tuple(other for other in keys if other is not key))
    return key


def match_key(keys: Sequence[ApiKey], token: str, *, now_ms: int) -> ApiKey | None:
    """The key that a token is; None for none, and for one whose time is over."""
    digest = _compute_digest(token)
    found: ApiKey | None = None
    for key in keys:  # every one is looked at, so that time tells nothing
        if hmac.compare_digest(digest, key.digest) and not key.is_expired(now_ms):
            found = key
    return found


def _compute_digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()


def _write(home: Path, keys: tuple[ApiKey, ...]) -> None:
    data = msgspec.json.format(msgspec.json.encode(_KeyFile(1, keys)), indent=1)
    write_private(home / FILE_NAME, data + b"\n")


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    """Two commands at once must not undo each other."""
    try:
        handle = os.open(home / "api_keys.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StorageError(
            f"{home} cannot be written: {error.strerror}", hint="check who owns the folder"
        ) from None
    with os.fdopen(handle, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
