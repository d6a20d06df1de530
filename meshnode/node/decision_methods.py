"""What an application can ask a node about decisions: a part of `NodeHandle`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from meshnode.decision_views import CHANGE_IN_MS, DECIDE_IN_MS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meshnode.decision_views import DecisionInfo
    from meshnode.node.deciding import DecisionDesk
    from meshnode.views import VertexInfo


class DecisionMethods(ABC):
    """Questions put to the mesh, answers to them, changes of the committee."""

    @abstractmethod
    def _get_decisions(self) -> DecisionDesk:
        """The node's desk. Raises `NodeClosed`."""

    async def propose(
        self,
        question: str,
        *,
        options: Sequence[str] = ("yes", "no"),
        closes_in_ms: int = DECIDE_IN_MS,
        electorate: str = "members",
        threshold: str = "1/2",
    ) -> VertexInfo:
        """Put a question to the mesh; its id is that of the vertex.

        Args:
            question: What is asked.
            options: 2 to 16 answers to choose from.
            closes_in_ms: After this long without a winner it expires.
            electorate: `members`, one vote each, or `stake`, validators by theirs.
            threshold: An option wins with strictly more than this part of the electorate.
        """
        return await self._get_decisions().propose(
            question,
            options=options,
            closes_in_ms=closes_in_ms,
            electorate=electorate,
            threshold=threshold,
        )

    async def propose_committee(
        self,
        stakes: Mapping[str, int],
        *,
        profile: str | None = None,
        gc_commits: int | None = None,
        question: str | None = None,
        closes_in_ms: int = CHANGE_IN_MS,
    ) -> VertexInfo:
        """Ask the validators for another committee.

        More than two thirds of the stake decide, with profile `cft` more than a half.

        Args:
            stakes: By member (id, start of it, or name) the stake it is to have; 0 for no seat.
            profile: `bft3`, `bft5` or `cft` from the next epoch on.
            gc_commits: The next value of this parameter.
            question: What voters read; made from the change where left out.
            closes_in_ms: After this long without a decision it expires.
        """
        return await self._get_decisions().propose_committee(
            stakes,
            profile=profile,
            gc_commits=gc_commits,
            question=question,
            closes_in_ms=closes_in_ms,
        )

    async def vote(self, decision_id: str, option: str, *, reason: str = "") -> VertexInfo:
        """Answer a question, by its id or the beginning of it; the last answer counts.

        `option` is the answer's text, the beginning of it, or its number from 1.
        """
        return await self._get_decisions().vote(decision_id, option, reason=reason)

    async def decisions(self, *, status: str | None = None) -> list[DecisionInfo]:
        """Questions and where they stand, newest first; optionally of one status."""
        return self._get_decisions().list_decisions(status)

    async def decision(self, decision_id: str, *, wait_ms: int = 0) -> DecisionInfo:
        """One question, by its id or the beginning of it.

        With `wait_ms` as soon as it is decided, or when that time is over: `status` tells which.
        """
        return await self._get_decisions().show(decision_id, wait_ms)
