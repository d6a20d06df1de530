"""A stand-in for a node that takes questions, for tests of commands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from meshnode.decision_views import DecisionInfo
from meshnode.views import NodeStatus, VertexDetail, VertexInfo
from tests.support.cli import FakeRemote
from tests.support.views import make_decision, make_id, make_vertex


@dataclass
class DecidingRemote(FakeRemote):
    """Answers with `decision_view`; what comes `later` takes its place, one by one."""

    decision_view: DecisionInfo = field(default_factory=make_decision)
    later: list[DecisionInfo] = field(default_factory=list)
    statuses: list[NodeStatus] = field(default_factory=list)
    action: dict[str, Any] | None = None

    async def status(self) -> NodeStatus:
        if self.statuses:
            self.state = self.statuses.pop(0)
        return await super().status()

    async def propose(self, question: str, **options: Any) -> VertexInfo:
        self.asked.append({"question": question, **options})
        return make_vertex("decision", "alice", 3, kind="decision", summary=f"asks: {question}")

    async def propose_committee(self, stakes: dict[str, int], **options: Any) -> VertexInfo:
        self.asked.append({"stakes": stakes, **options})
        summary = "asks: Change the committee?"
        return make_vertex("decision", "alice", 3, kind="decision", summary=summary)

    async def vote(self, decision_id: str, option: str, **options: Any) -> VertexInfo:
        self.asked.append({"decision": decision_id, "option": option, **options})
        return make_vertex("ballot", "alice", 4, kind="decision")

    async def decisions(self, *, status: str | None = None) -> list[DecisionInfo]:
        return [self.decision_view] if status in (None, self.decision_view.status) else []

    async def decision(self, decision_id: str, *, wait_ms: int = 0) -> DecisionInfo:
        self.waited.append((decision_id, wait_ms))
        self._fail("decision")
        if self.later:
            self.decision_view = self.later.pop(0)
        return self.decision_view

    async def vertex(self, vertex_id: str) -> VertexDetail:
        body = {"question": "?", "action": self.action}
        vertex = make_vertex("decision", "alice", 3, kind="decision", id=vertex_id)
        return VertexDetail(vertex=vertex, body=body, wire="")


DECISION = make_id("decision")
