"""Who asks, and what they may: the node's owner, or a local client with an API key."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiohttp import web

from meshnode.errors import StorageError
from meshnode.gateway.keys import PREFIX, ApiKey, Scope, match_key, read_keys

if TYPE_CHECKING:
    from pathlib import Path

    from meshnode.secret import Secret

_log: Final = logging.getLogger(__name__)

OWNER_ID: Final = "owner"
KEYS_AGE_S: Final = 0.5
"""How long keys are taken from memory: a revoked one is refused this soon."""
_MESH_PREFIX: Final = "/api/v1/"
_ASKING_PATHS: Final = ("/api/v1/ask",)
_MARKET_PATHS: Final = ("/api/v1/market", "/api/v1/wallet")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request."""

    id: str
    key: ApiKey | None = None
    """None for the owner, who may do everything."""

    @property
    def is_owner(self) -> bool:
        """Whether the runtime file's token was shown."""
        return self.key is None

    def may(self, scope: Scope) -> bool:
        """Whether a scope is allowed to it; `admin` holds all of them."""
        return self.key is None or scope in self.key.scopes or "admin" in self.key.scopes


OWNER: Final = Caller(OWNER_ID)
CALLER: Final = web.RequestKey("meshnode.caller", Caller)
"""Set on every request that the guard let through to more than health."""


class Gatekeeper:
    """Knows the owner's token and the home's API keys."""

    def __init__(self, token: Secret, home: Path | None) -> None:
        """Without a home folder there are no keys."""
        self._token = token.reveal().encode()
        self._home = home
        self._keys: tuple[ApiKey, ...] = ()
        self._read_s = float("-inf")

    async def identify(self, authorization: str) -> Caller | None:
        """Who an Authorization header proves; None for nobody."""
        kind, _, token = authorization.partition(" ")
        if kind.lower() != "bearer":
            return None
        given = token.strip()
        if hmac.compare_digest(given.encode(errors="surrogateescape"), self._token):
            return OWNER
        if self._home is None or not given.startswith(PREFIX):
            return None
        await self._refresh(self._home)
        key = match_key(self._keys, given, now_ms=time.time_ns() // 1_000_000)
        return None if key is None else Caller(key.id, key)

    async def _refresh(self, home: Path) -> None:
        now_s = time.monotonic()
        if now_s - self._read_s < KEYS_AGE_S:
            return
        try:
            self._keys = await asyncio.to_thread(read_keys, home)
        except StorageError as error:
            # Whoever may come in is not known now, so nobody may.
            self._keys = ()
            _log.warning("no API key is accepted: %s", error)
        self._read_s = now_s


def find_scope(method: str, path: str) -> Scope:
    """What a request needs."""
    if path.startswith("/v1/models"):
        return "models"
    if path.startswith("/v1/") or path in _ASKING_PATHS:
        return "chat"
    if path.startswith(_MARKET_PATHS):
        return "market"
    if path.startswith("/mcp"):
        return "mcp"
    if path.startswith("/metrics"):
        return "metrics"
    if method in {"GET", "HEAD"} and path.startswith(_MESH_PREFIX):
        return "read"
    return "admin"


def get_caller(request: web.Request) -> Caller:
    """Who sent a request that passed the guard."""
    return request[CALLER]
