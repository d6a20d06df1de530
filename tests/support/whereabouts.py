"""Where a vertex is: what running nodes say of it, and what the journals of stopped ones hold."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from dag.vertex import decode_signed
from meshnode import NodeHandle, RemoteNode
from meshnode.errors import MeshError
from meshnode.shell.store import Store

HELD_MAX = 1_000
"""Vertices of an author that a node lists at once."""


async def read_words(
    author: str, remotes: Sequence[RemoteNode | NodeHandle]
) -> dict[str, tuple[str, str]]:
    """Of every vertex of an author that is held by any of these: its author, and its words."""
    return {
        info.id: (info.author, info.summary)
        for remote in remotes
        for info in await remote.vertices(author=author, limit=HELD_MAX)
    }


async def ask_about(vertex: str, remotes: Sequence[RemoteNode | NodeHandle]) -> str:
    """What each node says of a vertex."""
    return ", ".join([await _ask(vertex, remote) for remote in remotes])


async def _ask(vertex: str, remote: RemoteNode | NodeHandle) -> str:
    name = (await remote.status()).name
    try:
        place = await remote.finality(vertex)
    except MeshError as error:
        return f"{name}: {error.message}"
    said = [f"final in {place.commit_index}" if place.final else "not final"]
    if place.repeated_by is not None:
        said.append(f"said again as {place.repeated_by}")
    if place.forgotten:
        said.append("older than its history")
    try:
        held = (await remote.vertex(vertex)).vertex
    except MeshError:
        said.append("not held")
    else:
        said.append(f"held at lamport {held.lamport}")
    return f"{name}: {', '.join(said)}"


def look_in_journal(home: Path, vertex: str) -> str:
    """Whether a stopped node's journals store a vertex, and in which commit it was put out."""
    found = []
    for path in sorted(home.glob("networks/*/journal.db")):
        vertex_id = bytes.fromhex(vertex)
        with closing(Store.open_readonly(path)) as store:
            wire = store.read([vertex_id]).get(vertex_id)
            commit = store.find_commits([vertex_id]).get(vertex_id)
            pruned = store.read_pruned()
        text = "does not store it"
        if wire is not None:
            text = f"stores it at lamport {decode_signed(wire).vertex.lamport}"
        place = "" if commit is None else f", in commit {commit.index}"
        found.append(f"{text}{place}, history begins above {pruned.speech}")
    return " and ".join(found) or "has no journal"
