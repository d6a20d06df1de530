"""Embeddings of the own engine, where it has them. A part of `NodeHandle`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from meshnode.engines.base import Embeds, EngineError, EngineFault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshnode.engines.base import Engine


class EmbeddingMethods(ABC):
    """Texts as vectors."""

    @abstractmethod
    def _find_engine(self) -> Engine | None:
        """What answers on this node itself. Raises `NodeClosed`."""

    async def embed(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Answer the JSON object of `POST /v1/embeddings` with this node's own engine.

        Raises `EngineError`, also where there is no engine with embeddings: they are not asked of
        peers, because vectors of one model mean nothing beside those of another.
        """
        engine = self._find_engine()
        if not isinstance(engine, Embeds):
            what = "this node, which has no engine," if engine is None else f"engine {engine.name}"
            raise EngineError(
                EngineFault.MODEL_NOT_FOUND,
                f"{what} makes no embeddings",
                hint="start the node with an engine that has them",
            )
        return await engine.embed(request)
