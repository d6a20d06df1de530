"""The promises of the agreed order: one for all, told once and in order, parents first, durable."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from consensus.commits import CommitHead
from dag.order import GENESIS_COMMIT_DIGEST, Commit, compute_commit_digest
from dag.types import LANE_SPEECH
from meshnode.core.events import Committed, OrderHalted, OrderResumed
from meshnode.core.recovered import HEAD_KEY
from simulations.errors import CheckFailed
from simulations.observers import Observer

if TYPE_CHECKING:
    from meshnode.core.events import Event
    from simulations.checkers import Books
    from simulations.host import Host


class Order(Observer):
    """Commit sequences of honest hosts are prefixes of each other, in all their lives."""

    def __init__(self, honest: Iterable[Host], books: Books) -> None:
        self.commits: list[Commit] = []
        """The longest sequence that any honest host was told."""
        self._books = books
        self._told = {host.index: 0 for host in honest}
        self._places: dict[bytes, int] = {}

    def on_fact(self, host: Host, event: Event) -> None:
        """An application was told of a commit."""
        if host.index not in self._told:
            return
        if isinstance(event, OrderHalted):
            raise CheckFailed("order-goes-on", f"{host.identity.name}: {event.reason}")
        if isinstance(event, OrderResumed):
            self._resume(host, event.index)
        if isinstance(event, Committed):
            self._check(host, event.commit)

    def _resume(self, host: Host, index: int) -> None:
        """An application goes on from a snapshot, which a quorum had made before."""
        if not self._told[host.index] < index <= len(self.commits):
            name = host.identity.name
            raise CheckFailed("told-once", f"{name} goes on after commit {index}")
        self._told[host.index] = index

    def _check(self, host: Host, commit: Commit) -> None:
        name, last = host.identity.name, self._told[host.index]
        if commit.index != last + 1:
            raise CheckFailed("told-once", f"{name} was told commit {commit.index} after {last}")
        self._told[host.index] = commit.index
        self._require_record(host, commit)
        if commit.index > len(self.commits):
            self._append(name, commit)
        elif self.commits[commit.index - 1] != commit:
            raise CheckFailed("one-order", f"{name} has another commit {commit.index}")

    def _require_record(self, host: Host, commit: Commit) -> None:
        stored = host.disk.read_value(HEAD_KEY)
        index = msgspec.msgpack.decode(stored, type=CommitHead).index if stored else 0
        if index < commit.index or host.disk.unsynced_bytes:
            name = host.identity.name
            raise CheckFailed("commit-durable", f"{name} was told commit {commit.index} too early")

    def _append(self, name: str, commit: Commit) -> None:
        previous = self.commits[-1].digest if self.commits else GENESIS_COMMIT_DIGEST
        digest = compute_commit_digest(
            previous, commit.index, commit.leader, commit.vertices, commit.time_ms
        )
        if (commit.previous_digest, commit.digest) != (previous, digest):
            raise CheckFailed("commit-chained", f"{name}: commit {commit.index}")
        if self.commits and commit.time_ms < self.commits[-1].time_ms:
            raise CheckFailed("commit-time", f"{name}: commit {commit.index} is before the last")
        for ref in commit.vertices:
            if ref.id in self._places:
                raise CheckFailed("ordered-once", f"{ref.id.hex()[:12]} at {name}")
            self._places[ref.id] = commit.index
            self._require_parents(name, ref.id)
        self.commits.append(commit)

    def _require_parents(self, name: str, vertex_id: bytes) -> None:
        vertex = self._books.vertices[vertex_id].vertex
        for ref in vertex.parents if vertex.lane == LANE_SPEECH else ():
            if ref.id not in self._places:
                raise CheckFailed("parents-first", f"{vertex_id.hex()[:12]} at {name}")

    def find_missing(self, acknowledged: Iterable[bytes]) -> list[bytes]:
        """What was acknowledged and has no place in the order."""
        return [vertex_id for vertex_id in acknowledged if vertex_id not in self._places]
