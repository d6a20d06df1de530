"""A node's records, put together for a model to read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final

from market.decimals import format_ruv, format_scaled
from meshnode.gateway.mcp_views import (
    Booking,
    MeshSummary,
    ModelList,
    ModelOffer,
    ProviderUse,
    UsageReport,
)
from meshnode.usage_store import FILE_NAME, UsageStore, UsageSum

if TYPE_CHECKING:
    from pathlib import Path

    from meshnode.market_views import HistoryEntry
    from meshnode.views import ModelView, NodeStatus, PeerInfo

ReadUsage = Callable[[int], Awaitable[list[UsageSum]]]
"""What engines used from a day on, days since 1970."""
MODELS_MAX: Final = 100
PROBLEMS_MAX: Final = 20
PROVIDERS_MAX: Final = 100
_USD_PLACES: Final = 6


def make_usage_reader(home: Path | None) -> ReadUsage:
    """Reads the books of a home folder; without one, or before anything is in them, nothing."""

    async def read(first_day: int) -> list[UsageSum]:
        return [] if home is None else await asyncio.to_thread(_read_sums, home, first_day)

    return read


def _read_sums(home: Path, first_day: int) -> list[UsageSum]:
    if not (home / FILE_NAME).exists():
        return []
    with UsageStore(home) as store:
        return store.read_sums(first_day=first_day)


def summarise_mesh(status: NodeStatus, peers: Sequence[PeerInfo]) -> MeshSummary:
    """A node and its mesh at a glance."""
    offers, order, money = _list_offers(status, peers), status.consensus, status.money
    engine = status.engine
    return MeshSummary(
        node=status.name,
        version=status.version,
        network=status.network_name,
        members=status.members,
        peers_ready=status.peers_ready,
        models=tuple(offers[:MODELS_MAX]),
        more_models=max(0, len(offers) - MODELS_MAX),
        engine_running=0 if engine is None else engine.running,
        engine_queued=0 if engine is None else engine.queued,
        commit_index=None if order is None else order.commit_index,
        waiting=0 if order is None else order.waiting,
        free_ruv=None if money is None else format_ruv(money.free_uruv),
        locked_ruv=None if money is None else format_ruv(money.locked_uruv),
        open_orders=0 if money is None else money.open_orders,
        problems=status.problems[:PROBLEMS_MAX],
    )


def list_models(status: NodeStatus, peers: Sequence[PeerInfo]) -> ModelList:
    """The models that can be asked."""
    offers = _list_offers(status, peers)
    return ModelList(
        models=tuple(offers[:MODELS_MAX]), more_models=max(0, len(offers) - MODELS_MAX)
    )


def _list_offers(status: NodeStatus, peers: Sequence[PeerInfo]) -> list[ModelOffer]:
    served: dict[tuple[str, str], list[ModelView]] = {}
    own = () if status.engine is None else status.engine.models
    for model in (*own, *(model for peer in peers if peer.ready for model in peer.models)):
        served.setdefault((model.id, model.engine), []).append(model)
    return [
        ModelOffer(
            model=name,
            engine=engine,
            served_by=len(models),
            context_tokens=max((m.context_tokens or 0 for m in models), default=0) or None,
            tools=any(model.tools for model in models),
        )
        for (name, engine), models in sorted(served.items())
    ]


def make_usage_report(
    days: int, status: NodeStatus, history: Sequence[HistoryEntry], sums: Sequence[UsageSum]
) -> UsageReport:
    """What was used and spent lately."""
    money = status.money
    by_model: dict[tuple[str, str], list[UsageSum]] = {}
    for each in sums:
        by_model.setdefault((each.engine, each.model), []).append(each)
    return UsageReport(
        days=days,
        free_ruv=format_ruv(0 if money is None else money.free_uruv),
        locked_ruv=format_ruv(0 if money is None else money.locked_uruv),
        open_orders=0 if money is None else money.open_orders,
        live_contracts=0 if money is None else money.live_contracts,
        bookings=tuple(
            Booking(
                time_ms=entry.time_ms,
                kind=entry.kind,
                amount_ruv=format_ruv(entry.amount_uruv),
                detail=entry.detail,
            )
            for entry in history
        ),
        providers=tuple(
            _add_up(engine, model, found)
            for (engine, model), found in sorted(by_model.items())[:PROVIDERS_MAX]
        ),
        cost_usd=format_scaled(sum(each.cost_udollar for each in sums), _USD_PLACES),
    )


def _add_up(engine: str, model: str, sums: Sequence[UsageSum]) -> ProviderUse:
    return ProviderUse(
        engine=engine,
        model=model,
        requests=sum(each.requests for each in sums),
        failures=sum(each.failures for each in sums),
        prompt_tokens=sum(each.prompt_tokens for each in sums),
        completion_tokens=sum(each.completion_tokens for each in sums),
        cost_usd=format_scaled(sum(each.cost_udollar for each in sums), _USD_PLACES),
        unpriced=sum(each.unpriced for each in sums),
    )
