"""Where questions would go, and where they went. A part of `NodeHandle`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final

from meshnode.errors import CommandRejected
from meshnode.node.route_presenting import show_placement, show_route

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meshnode.node.asking import QuestionDesk
    from meshnode.route_views import PlacementInfo, RouteInfo
    from meshnode.shell.runtime import Runtime

    Messages = Sequence[Mapping[str, Any]]

PLACEMENTS_MAX: Final = 1_000
ROUTE_TIMEOUT_MS: Final = 120_000


class RouteMethods(ABC):
    """The router of a node."""

    @abstractmethod
    def _get_questions(self) -> QuestionDesk:
        """The node's desk. Raises `NodeClosed`."""

    @abstractmethod
    def _require_runtime(self) -> Runtime:
        """The running node. Raises `NodeClosed`."""

    async def route(self, prompt: str | Messages = "", *, model: str = "auto") -> RouteInfo:
        """Where a question would go now and why; nothing is asked."""
        desk = self._get_questions()
        question = await desk.make_question(
            prompt,
            model=model,
            share=None,
            timeout_ms=ROUTE_TIMEOUT_MS,
            knowledge=(),
            peer=None,
            fields={},
        )
        query, decision = desk.explain(question)
        runtime = self._require_runtime()
        own = str(runtime.transport.peer_id)
        authors = {peer.peer: peer.author for peer in runtime.view().peers}
        return show_route(query, decision, authors={**authors, own: runtime.author}, own=own)

    async def placements(self, *, limit: int = 50) -> list[PlacementInfo]:
        """What this node decided on letting engines answer questions, the newest first."""
        runtime = self._require_runtime()
        if not 1 <= limit <= PLACEMENTS_MAX:
            raise CommandRejected(
                f"{limit} placements cannot be listed", hint=f"ask for 1 to {PLACEMENTS_MAX}"
            )
        return [show_placement(each) for each in await runtime.placements.read(limit=limit)]
