"""`/v1/models`: what can be asked for, where it runs, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from market.decimals import format_ruv
from meshnode.gateway.refusals import UnknownModel

if TYPE_CHECKING:
    from meshnode.gateway.port import MeshNode
    from meshnode.views import ModelView

OWNER: Final = "meshnode"
CREATED_S: Final = 0
"""Nobody knows when a model was made: the field is there because clients read it."""


@dataclass(slots=True)
class _Found:
    """A model of one or several providers."""

    providers: list[str] = field(default_factory=list)
    engines: list[str] = field(default_factory=list)
    context_tokens: int | None = None
    tools: bool = False
    local: bool = False

    def add(self, model: ModelView, provider: str, *, local: bool) -> None:
        """One more provider has it."""
        self.providers.append(provider)
        if model.engine not in self.engines:
            self.engines.append(model.engine)
        known = [size for size in (self.context_tokens, model.context_tokens) if size]
        self.context_tokens = max(known, default=None)
        self.tools = self.tools or model.tools
        self.local = self.local or local


async def list_models(node: MeshNode) -> list[dict[str, Any]]:
    """Every model of this node, of connected peers, and of the market."""
    found: dict[str, _Found] = {}
    status = await node.status()
    if status.engine is not None:
        for model in status.engine.models:
            found.setdefault(model.id, _Found()).add(model, status.name, local=True)
    for peer in await node.peers():
        if peer.ready and not peer.draining:
            for model in peer.models:
                found.setdefault(model.id, _Found()).add(model, peer.name, local=False)
    prices = await _read_prices(node)
    for name in prices:
        found.setdefault(name, _Found())
    return [_show(name, model, prices.get(name)) for name, model in sorted(found.items())]


async def find_model(node: MeshNode, model_id: str) -> dict[str, Any]:
    """One model. Raises `UnknownModel`."""
    for model in await list_models(node):
        if model["id"] == model_id:
            return model
    raise UnknownModel(
        f"the model '{model_id[:100]}' does not exist here",
        param="model",
        hint="GET /v1/models lists what there is",
    )


async def _read_prices(node: MeshNode) -> dict[str, int]:
    """The best offer by variant, of those that somebody offers now."""
    return {
        instrument.variant: instrument.best_offer_uruv
        for instrument in await node.market_instruments()
        if instrument.best_offer_uruv is not None
    }


def _show(name: str, found: _Found, price_uruv: int | None) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": CREATED_S,
        "owned_by": found.engines[0] if found.engines else OWNER,
        "context_length": found.context_tokens,
        "meshnode": {
            "providers": found.providers,
            "engines": found.engines,
            "local": found.local,
            "tools": found.tools,
            "price": None if price_uruv is None else format_ruv(price_uruv),
        },
    }
