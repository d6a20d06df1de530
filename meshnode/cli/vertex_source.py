"""Where `meshnode dag` reads: from the running node, or from the store itself when none runs."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from dag.bodies import PROFILE_DECODER
from dag.genesis import compute_network_id
from dag.identity import compute_author_id
from dag.types import Kind
from meshnode.cli.formats import format_id
from meshnode.cli.stores import find_own_store
from meshnode.client import connect
from meshnode.config_file import locate_home
from meshnode.errors import CommandRejected, InvalidMessage, NoDaemon
from meshnode.shell.store import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from dag.genesis import Genesis
    from meshnode.client import RemoteNode
    from meshnode.views import VertexDetail, VertexInfo

_NAMES_MAX = 10_000
_ID_CHARACTERS = 64


class VertexSource(Protocol):
    """What `meshnode dag` needs to know."""

    async def vertices(self, *, limit: int, kind: str | None) -> list[VertexInfo]:
        """The newest vertices, newest first."""

    async def vertex(self, vertex_id: str) -> VertexDetail:
        """One vertex, by its id or the beginning of it."""

    async def read_blob(self, blob_id: str) -> bytes:
        """What a blob holds, fetched where it is not here. Raises `CommandRejected`."""

    async def describe_network(self) -> str:
        """The network's name and the beginning of its id."""


@asynccontextmanager
async def open_source(home: Path | None) -> AsyncIterator[VertexSource]:
    """The running node, or the store it left behind. Raises `StorageError` where there is none."""
    path = locate_home(home, os.environ)
    try:
        node = connect(path)
    except NoDaemon:
        store = find_own_store(path)
        with closing(Store.open_readonly(store.journal)) as opened:
            yield StoreSource(opened, store.genesis)
    else:
        async with node:
            yield RemoteSource(node)


class RemoteSource:
    """Asks the running node."""

    def __init__(self, node: RemoteNode) -> None:
        self._node = node

    async def vertices(self, *, limit: int, kind: str | None) -> list[VertexInfo]:
        """The newest vertices, newest first."""
        return await self._node.vertices(limit=limit, kind=kind)

    async def vertex(self, vertex_id: str) -> VertexDetail:
        """One vertex, by its id or the beginning of it."""
        return await self._node.vertex(vertex_id)

    async def read_blob(self, blob_id: str) -> bytes:
        """What a blob holds, fetched where it is not here."""
        return await self._node.blobs.get(blob_id)

    async def describe_network(self) -> str:
        """The network's name and the beginning of its id."""
        status = await self._node.status()
        return f"{status.network_name} ({format_id(status.network)})"


class StoreSource:
    """Reads a store that nobody writes."""

    def __init__(self, store: Store, genesis: Genesis) -> None:
        self._store = store
        self._genesis = genesis
        self._names: dict[bytes, str] | None = None

    async def vertices(self, *, limit: int, kind: str | None) -> list[VertexInfo]:
        """The newest vertices, newest first."""
        from meshnode.node.order_presenting import place
        from meshnode.node.presenting import parse_kind, show_vertex

        code = None if kind is None else parse_kind(kind)
        found = self._store.scan(limit=limit, kind=code, author=None, before=None)
        commits = self._store.find_commits([stored.signed.id for stored in found])
        shown = [show_vertex(stored.signed, self._get_names()) for stored in found]
        return place(shown, commits)

    async def vertex(self, vertex_id: str) -> VertexDetail:
        """One vertex, by its id or the beginning of it."""
        from dag.vertex import decode_signed
        from meshnode.node.order_presenting import show_finality
        from meshnode.node.presenting import show_detail

        found = self._find(vertex_id)
        wire = self._store.read([found])[found]
        commit = self._store.find_commits([found]).get(found)
        signed = decode_signed(wire)
        forgotten = signed.vertex.lamport <= self._store.read_pruned().get(signed.vertex.lane)
        finality = show_finality(found, commit, forgotten=forgotten)
        return replace(show_detail(signed, self._get_names()), finality=finality)

    async def read_blob(self, blob_id: str) -> bytes:
        """Blobs are read by the running node only."""
        raise CommandRejected(
            f"blob {format_id(blob_id)} cannot be read while no node runs",
            hint="`meshnode up` starts it",
        )

    async def describe_network(self) -> str:
        """The network's name and the beginning of its id."""
        return f"{self._genesis.name} ({format_id(compute_network_id(self._genesis).hex())})"

    def _find(self, text: str) -> bytes:
        from meshnode.node.lookup import hint_at_stored, list_byte_prefixes

        prefix = text.lower()
        if (
            not prefix
            or len(prefix) > _ID_CHARACTERS
            or any(c not in "0123456789abcdef" for c in prefix)
        ):
            raise CommandRejected(
                f"'{text[:80]}' is not the beginning of an id", hint="`meshnode dag log` lists ids"
            )
        matches = [
            found
            for start in list_byte_prefixes(prefix)
            for found in self._store.find(start, limit=2)
        ]
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise CommandRejected(
                f"several vertices begin with '{prefix}'", hint="give more of the id"
            )
        raise CommandRejected(
            f"no stored vertex begins with '{prefix}'",
            hint=hint_at_stored(self._store.read_pruned().speech),
        )

    def _get_names(self) -> dict[bytes, str]:
        """What the authors call themselves, by their newest profiles."""
        if self._names is None:
            names: dict[bytes, str] = {
                compute_author_id(founder.ed25519_key, founder.mldsa65_key): founder.name
                for founder in self._genesis.founders
            }
            stored = self._store.scan(limit=_NAMES_MAX, kind=Kind.PROFILE, author=None, before=None)
            for profile in reversed(stored):
                vertex = profile.signed.vertex
                try:
                    names[vertex.author] = PROFILE_DECODER.decode(vertex.body).name
                except InvalidMessage:
                    continue
            self._names = names
        return self._names
