"""Running commands of the program inside the test's process, with a stand-in for the node."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any, Self

from meshnode.cli.app import run
from meshnode.views import (
    Answer,
    Delta,
    Finality,
    Finished,
    HeadsInfo,
    NodeStatus,
    PeerInfo,
    Started,
    VertexDetail,
    VertexInfo,
)
from tests.support.fake_blobs import FakeBlobs
from tests.support.views import make_answer, make_finality, make_id, make_small_dag, make_status


@dataclass
class Outcome:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


def run_command(capsys, *arguments: str) -> Outcome:
    """Run one command line; `capsys` collects what it writes."""
    code = run(list(arguments))
    captured = capsys.readouterr()
    return Outcome(code, captured.out, captured.err)


@dataclass
class FakeRemote:
    """A running node that answers as told, and remembers what it was asked."""

    state: NodeStatus = field(default_factory=make_status)
    members: list[PeerInfo] = field(default_factory=list)
    stored: list[VertexInfo] = field(default_factory=list)
    detail: VertexDetail | None = None
    answer: Answer = field(default_factory=make_answer)
    pieces: tuple[str, ...] = ("Par", "is.")
    attempts: tuple[str, ...] = ()
    failures: dict[str, Exception] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)
    place: Finality = field(default_factory=make_finality)
    waited: list[tuple[str, int]] = field(default_factory=list)
    happening: list[Any] = field(default_factory=list)
    blobs: FakeBlobs = field(default_factory=FakeBlobs)
    pid: int = 999_999_999
    api: str = "127.0.0.1:7077"
    since_ms: int = 1_700_000_000_000
    startup_state: dict[str, Any] = field(default_factory=lambda: {"ready": True})

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    def _fail(self, name: str) -> None:
        if name in self.failures:
            raise self.failures[name]

    async def status(self) -> NodeStatus:
        self._fail("status")
        return self.state

    async def startup(self) -> dict[str, Any]:
        return self.startup_state

    async def peers(self) -> list[PeerInfo]:
        self._fail("peers")
        return self.members

    async def vertices(self, *, limit: int = 50, kind: str | None = None) -> list[VertexInfo]:
        wanted = (vertex for vertex in self.stored if (vertex.kind == "block") == (kind == "block"))
        return [vertex for vertex in wanted if kind in (None, vertex.kind)][:limit]

    async def vertex(self, vertex_id: str) -> VertexDetail:
        self._fail("vertex")
        return self.detail or VertexDetail(vertex=make_small_dag()[0], body=None, wire="")

    async def finality(self, vertex_id: str, *, wait_ms: int = 0) -> Finality:
        self.waited.append((vertex_id, wait_ms))
        self._fail("finality")
        return replace(self.place, vertex=vertex_id)

    async def events(self, *, after: int | None = None) -> AsyncIterator[Any]:
        self.asked.append({"after": after})
        for event in self.happening:
            if isinstance(event, BaseException):
                raise event
            yield event

    async def heads(self) -> HeadsInfo:
        return HeadsInfo(digest=make_id("heads"), vertices=len(self.stored), lamport=1, heads=())

    async def ask(self, prompt: Any, **options: Any) -> Answer:
        self.asked.append({"prompt": prompt, **options})
        self._fail("ask")
        return self.answer

    async def stream(self, prompt: Any, **options: Any) -> AsyncIterator[Any]:
        self.asked.append({"prompt": prompt, **options})
        self._fail("ask")
        yield Started(
            model="echo",
            engine="echo",
            author=make_id("bob"),
            peer="12D3KooWbob",
            name="bob",
            local=False,
            attempts=self.attempts,
        )
        for piece in self.pieces:
            yield Delta(text=piece, chunk={})
        self._fail("stream")
        yield Finished(answer=self.answer)

    async def invite(self, **options: Any) -> str:
        self.asked.append(options)
        return "mesh1ticket"

    async def join(self, ticket: str) -> NodeStatus:
        self.asked.append({"ticket": ticket})
        return self.state

    async def shutdown(self) -> None:
        self.asked.append({"shutdown": True})

    async def close(self) -> None:
        return None
