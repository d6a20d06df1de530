"""What a demo shows: three questions from three nodes, and the same signed answers on all of them."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from meshnode.demo.mesh import POLL_S
from meshnode.errors import CommandRejected, MeshError
from meshnode.views import Answer, Delta, Finished, HeadsInfo, Started, VertexInfo

if TYPE_CHECKING:
    from meshnode.demo.mesh import DemoMesh
    from meshnode.demo.processes import DemoNode
    from meshnode.views import NodeStatus

QUESTIONS: Final = (
    "What is the capital of France?",
    "Name the three primary colours.",
    "Why is the sky blue? Answer in one sentence.",
)
ANSWER_TOKENS_MAX: Final = 80
SPREAD_TIMEOUT_S: Final = 10.0
VERTICES_MAX: Final = 200
_SPREAD_POLL_S: Final = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A question, who asked, and the answer."""

    asker: str
    question: str
    answer: Answer
    everywhere_ms: int | None
    """From the end of the answer until every node held its vertex; None if that took too long."""
    final_ms: int | None
    """From the end of the answer until it had its place in the order; None as above."""
    commit: int | None
    """The commit that put it there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoReport:
    """Everything a demo showed."""

    nodes: tuple[dict[str, Any], ...]
    engine: str
    model: str
    ready_ms: int
    connected_ms: int
    exchanges: tuple[Exchange, ...]
    heads: tuple[HeadsInfo, ...]
    vertices: tuple[VertexInfo, ...]
    """What was said."""
    blocks: tuple[VertexInfo, ...]
    """What put it in order."""

    @property
    def heads_are_equal(self) -> bool:
        """Whether all nodes hold the same vertices."""
        return len({heads.digest for heads in self.heads}) == 1

    @property
    def ok(self) -> bool:
        """Whether every answer is everywhere and final, and every store is the same."""
        spread = all(exchange.everywhere_ms is not None for exchange in self.exchanges)
        final = all(exchange.final_ms is not None for exchange in self.exchanges)
        return spread and final and self.heads_are_equal

    def to_json(self) -> dict[str, Any]:
        """This report as JSON types."""
        return {
            "schema": "meshnode.demo/1",
            "ok": self.ok,
            "nodes": list(self.nodes),
            "engine": self.engine,
            "model": self.model,
            "ready_ms": self.ready_ms,
            "connected_ms": self.connected_ms,
            "answers": [
                {
                    "asker": exchange.asker,
                    "question": exchange.question,
                    "everywhere_ms": exchange.everywhere_ms,
                    "final_ms": exchange.final_ms,
                    "commit": exchange.commit,
                    "answer": exchange.answer.to_json(),
                }
                for exchange in self.exchanges
            ],
            "heads": [heads.to_json() for heads in self.heads],
            "heads_are_equal": self.heads_are_equal,
            "vertices": [vertex.to_json() for vertex in self.vertices],
            "blocks": [vertex.to_json() for vertex in self.blocks],
        }


class Audience(Protocol):
    """Whoever watches the questions being answered."""

    def on_question(self, asker: str, question: str) -> None:
        """A question is asked."""

    def on_text(self, text: str) -> None:
        """A piece of the answer arrived."""

    def on_answer(self, exchange: Exchange) -> None:
        """The answer is complete, and spread as far as it will."""


async def run_script(mesh: DemoMesh, audience: Audience) -> DemoReport:
    """Ask from the nodes that serve nothing, in turns, and look at what everybody holds then."""
    askers = mesh.nodes[1:]
    exchanges = [
        await _ask(mesh, askers[number % len(askers)], question, audience)
        for number, question in enumerate(QUESTIONS)
    ]
    heads = await _wait_for_equal_heads(mesh)
    status = await mesh.founder.remote.status()
    return DemoReport(
        nodes=tuple([await _describe_node(node) for node in mesh.nodes]),
        engine=status.engine.name if status.engine else "none",
        model=describe_model(status),
        ready_ms=mesh.ready_ms,
        connected_ms=mesh.connected_ms,
        exchanges=tuple(exchanges),
        heads=heads,
        vertices=tuple(await mesh.nodes[-1].remote.vertices(limit=VERTICES_MAX)),
        blocks=tuple(await mesh.nodes[-1].remote.vertices(limit=VERTICES_MAX, kind="block")),
    )


def describe_model(status: NodeStatus) -> str:
    """The model a node serves, by the name its engine gives it."""
    models = status.engine.models if status.engine else ()
    return models[0].label or models[0].id if models else "none"


async def _ask(mesh: DemoMesh, asker: DemoNode, question: str, audience: Audience) -> Exchange:
    audience.on_question(asker.name, question)
    answer = None
    async for item in asker.remote.stream(question, max_tokens=ANSWER_TOKENS_MAX):
        match item:
            case Delta(text=text):
                audience.on_text(text)
            case Finished():
                answer = item.answer
            case Started():
                pass
    if answer is None:
        raise MeshError("the answer ended without a result", hint="run `meshnode doctor`")
    everywhere_ms, (final_ms, commit) = await asyncio.gather(
        _measure_spread(mesh, answer.vertex), _measure_finality(asker, answer.vertex)
    )
    exchange = Exchange(
        asker=asker.name,
        question=question,
        answer=answer,
        everywhere_ms=everywhere_ms,
        final_ms=final_ms,
        commit=commit,
    )
    audience.on_answer(exchange)
    return exchange


async def _measure_spread(mesh: DemoMesh, vertex_id: str) -> int | None:
    began = time.monotonic()
    try:
        async with asyncio.timeout(SPREAD_TIMEOUT_S):
            await asyncio.gather(*(_wait_for_vertex(node, vertex_id) for node in mesh.nodes))
    except TimeoutError:
        return None
    return int((time.monotonic() - began) * 1_000)


async def _measure_finality(asker: DemoNode, vertex_id: str) -> tuple[int | None, int | None]:
    """How long it took until the asker knew of a commit, and of which."""
    began = time.monotonic()
    found = await asker.remote.finality(vertex_id, wait_ms=int(SPREAD_TIMEOUT_S * 1_000))
    final_ms = int((time.monotonic() - began) * 1_000) if found.final else None
    return final_ms, found.commit_index


async def _wait_for_vertex(node: DemoNode, vertex_id: str) -> None:
    while True:
        try:
            await node.remote.vertex(vertex_id)
        except CommandRejected:
            await asyncio.sleep(_SPREAD_POLL_S)
        else:
            return


async def _wait_for_equal_heads(mesh: DemoMesh) -> tuple[HeadsInfo, ...]:
    """The heads of all nodes, once they are equal, or as they are after a while."""
    end = time.monotonic() + SPREAD_TIMEOUT_S
    while True:
        heads = tuple(await asyncio.gather(*(node.remote.heads() for node in mesh.nodes)))
        if len({found.digest for found in heads}) == 1 or time.monotonic() > end:
            return heads
        await asyncio.sleep(POLL_S)


async def _describe_node(node: DemoNode) -> dict[str, Any]:
    status = await node.remote.status()
    return {
        "name": node.name,
        "author": status.author,
        "home": str(node.home),
        "api": node.remote.api,
        "pid": node.spawned.pid,
    }
