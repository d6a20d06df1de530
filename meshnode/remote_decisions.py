"""Decisions of a node in another process: the part of `RemoteNode` that is about them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from meshnode.decision_views import CHANGE_IN_MS, DECIDE_IN_MS, DecisionInfo
from meshnode.errors import MalformedMessage
from meshnode.views import VertexInfo, read_list_document

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class RemoteDecisions(ABC):
    """Questions put to the mesh, answers to them, changes of the committee."""

    @abstractmethod
    async def _get(
        self, path: str, query: Mapping[str, str] | None = None, *, wait_ms: int = 0
    ) -> object:
        """The JSON that a path answers, which may take `wait_ms` longer than usual."""

    @abstractmethod
    async def _post(self, path: str, body: dict[str, Any]) -> object:
        """The JSON that a path answers to a body."""

    async def decisions(self, *, status: str | None = None) -> list[DecisionInfo]:
        """Questions and where they stand, newest first."""
        query = None if status is None else {"status": status}
        data = await self._get("/api/v1/decisions", query)
        return read_list_document("decisions", DecisionInfo, data)

    async def decision(self, decision_id: str, *, wait_ms: int = 0) -> DecisionInfo:
        """One question, by its id or the beginning of it.

        With `wait_ms` as soon as it is decided, or when that time is over: `status` tells which.
        """
        query = {"wait_ms": str(wait_ms)}
        data = await self._get(_make_path(decision_id), query, wait_ms=wait_ms)
        return DecisionInfo.from_json(data)

    async def propose(
        self,
        question: str,
        *,
        options: Sequence[str] = ("yes", "no"),
        closes_in_ms: int = DECIDE_IN_MS,
        electorate: str = "members",
        threshold: str = "1/2",
    ) -> VertexInfo:
        """Put a question to the mesh."""
        body = {
            "question": question,
            "options": list(options),
            "closes_in_ms": closes_in_ms,
            "electorate": electorate,
            "threshold": threshold,
        }
        return VertexInfo.from_json(await self._post("/api/v1/decisions", body))

    async def propose_committee(
        self,
        stakes: Mapping[str, int],
        *,
        profile: str | None = None,
        gc_commits: int | None = None,
        question: str | None = None,
        closes_in_ms: int = CHANGE_IN_MS,
    ) -> VertexInfo:
        """Ask the validators for another committee."""
        body = {
            "stakes": dict(stakes),
            "profile": profile,
            "gc_commits": gc_commits,
            "question": question,
            "closes_in_ms": closes_in_ms,
        }
        return VertexInfo.from_json(await self._post("/api/v1/committee", body))

    async def vote(self, decision_id: str, option: str, *, reason: str = "") -> VertexInfo:
        """Answer a question."""
        body = {"option": option, "reason": reason}
        return VertexInfo.from_json(await self._post(f"{_make_path(decision_id)}/vote", body))


def _make_path(decision_id: str) -> str:
    if not decision_id.isalnum():
        raise MalformedMessage(f"{decision_id[:80]!r} is not a decision's id", hint="ids are hex")
    return f"/api/v1/decisions/{decision_id}"
