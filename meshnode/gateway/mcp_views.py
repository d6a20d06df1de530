"""What the tools of the Model Context Protocol answer: short enough for a model to read.

Amounts are decimal numbers of ruv as text; texts are cut where it says so.
"""

from __future__ import annotations

from dataclasses import dataclass

from meshnode.market_views import BookInfo, InstrumentInfo, TradeInfo
from meshnode.views import Finality, VertexInfo, View


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOffer(View):
    """A model that can be asked, and by how many it is served."""

    model: str
    engine: str
    served_by: int
    context_tokens: int | None = None
    tools: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshSummary(View):
    """A node and its mesh at a glance."""

    node: str
    version: str
    network: str
    members: int
    peers_ready: int
    models: tuple[ModelOffer, ...]
    more_models: int = 0
    """Models that are not listed."""
    engine_running: int = 0
    engine_queued: int = 0
    commit_index: int | None = None
    waiting: int = 0
    """Vertices that are not final yet."""
    free_ruv: str | None = None
    locked_ruv: str | None = None
    open_orders: int = 0
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelList(View):
    """The models of a mesh."""

    models: tuple[ModelOffer, ...]
    more_models: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshAnswer(View):
    """An answer, and the signed record of it."""

    text: str
    model: str
    engine: str
    answered_by: str
    vertex: str
    """Id of the signed result: `knowledge` of a later question, or `dag_query` by it."""
    verified: bool
    """Whether the record has arrived, is signed by who answered, and matches the text."""
    finish_reason: str
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_ruv: str = "0"
    is_cut: bool = False
    """Whether the text is longer than a tool may answer; the vertex holds all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VertexText(View):
    """One vertex, with what it says."""

    vertex: VertexInfo
    text: str
    is_cut: bool = False
    finality: Finality | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DagFound(View):
    """Vertices, newest first; with an id that one alone, and its text."""

    vertices: tuple[VertexInfo, ...] = ()
    one: VertexText | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketFound(View):
    """What is listed, or one model's book."""

    instruments: tuple[InstrumentInfo, ...] = ()
    more: int = 0
    """Instruments that are not listed here."""
    book: BookInfo | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BidPlaced(View):
    """What became of a bid."""

    order: str
    status: str
    """accepted, refused, or pending: it has no place in the order yet."""
    message: str = ""
    """Why it was refused, and the next step."""
    trades: tuple[TradeInfo, ...] = ()
    max_ruv: str = "0"
    """The most that it can cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderUse(View):
    """What requests to an engine that is paid elsewhere used."""

    engine: str
    model: str
    requests: int
    failures: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: str
    unpriced: int
    """Requests of which nobody knows what they cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking(View):
    """Something that moved this node's ruv."""

    time_ms: int
    kind: str
    amount_ruv: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageReport(View):
    """What was used and spent lately."""

    days: int
    free_ruv: str
    locked_ruv: str
    open_orders: int
    live_contracts: int
    bookings: tuple[Booking, ...] = ()
    """Newest first."""
    providers: tuple[ProviderUse, ...] = ()
    cost_usd: str = "0"
    """Of all providers together."""
