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
    from dag.types import Ref
    from meshnode.core.events import Event
    from simulations.books import Books
    from simulations.host import Host


class Order(Observer):
    """Commit sequences of honest hosts are prefixes of each other, in all their lives."""

    def __init__(self, honest: Iterable[Host], books: Books) -> None:
        self.commits: list[Commit] = []
        """The longest sequence that any honest host was told."""
        self._books = books
        self._told: dict[int, int] = {}
        self._gc_commits = 0
        for host in honest:
            self._told[host.index] = 0
            self._gc_commits = host.settings.genesis.parameters.gc_commits
        self._places: dict[bytes, int] = {}
        self._heights: list[int] = []
        """The highest lamport of lane 0 put out up to each commit."""

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
        highest, horizon = self._heights[-1] if self._heights else 0, self._find_horizon()
        for ref in commit.vertices:
            if ref.id in self._places:
                raise CheckFailed("ordered-once", f"{ref.id.hex()[:12]} at {name}")
            self._places[ref.id] = commit.index
            if self._books.vertices[ref.id].vertex.lane == LANE_SPEECH:
                self._require_place(name, ref, horizon)
                highest = max(highest, ref.lamport)
        self._heights.append(highest)
        self.commits.append(commit)

    def _find_horizon(self) -> int:
        """What lies at or below this lamport is not put out by the next commit."""
        last = len(self._heights) - self._gc_commits
        return self._heights[last - 1] if last > 0 else 0

    def _require_place(self, name: str, ref: Ref, horizon: int) -> None:
        """Speech is put out above the horizon, after whatever of its parents lies there, too."""
        if ref.lamport <= horizon:
            raise CheckFailed("above-horizon", f"{ref.id.hex()[:12]} at {name}")
        for parent in self._books.vertices[ref.id].vertex.parents:
            if parent.lamport > horizon and parent.id not in self._places:
                raise CheckFailed("parents-first", f"{ref.id.hex()[:12]} at {name}")

    def find_missing(self, acknowledged: Iterable[bytes]) -> list[bytes]:
        """What was acknowledged, and neither it nor what repeats it has a place in the order."""
        return [vertex_id for vertex_id in acknowledged if not self._is_placed(vertex_id)]

    def _is_placed(self, vertex_id: bytes) -> bool:
        said: bytes | None = vertex_id
        while said is not None and said not in self._places:
            said = self._books.find_repeat(said)
        return said is not None
