"""What people, scripts and other processes are shown: plain records with a stable JSON form.

Every record has `to_json`, an object of JSON types, and `from_json`, its inverse, which ignores
fields of newer versions. A record that stands alone in a file or an HTTP answer names its form in
`schema`. Ids are lower-case hex, times Unix milliseconds, unknown values null.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self, TypeVar

import msgspec

from meshnode.errors import MalformedMessage
from meshnode.sealing_views import SealingInfo

ViewT = TypeVar("ViewT", bound="View")


class View:
    """Base of the records: conversion to JSON types and back."""

    schema: ClassVar[str] = ""
    """Name and version of the form, for records that stand alone."""

    def to_json(self) -> dict[str, Any]:
        """This record as an object of JSON types."""
        fields: dict[str, Any] = msgspec.to_builtins(self, str_keys=True)
        return {"schema": self.schema, **fields} if self.schema else fields

    @classmethod
    def from_json(cls, data: object) -> Self:
        """The record an object stands for. Raises `MalformedMessage` naming the field."""
        try:
            return msgspec.convert(data, cls)
        except msgspec.ValidationError as error:
            raise MalformedMessage(f"not a {cls.__name__}: {error}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelView(View):
    """A model as it can be asked for."""

    id: str
    engine: str
    label: str = ""
    """How a person names it; empty where it is the id."""
    revision: str = ""
    context_tokens: int | None = None
    tools: bool = False
    size_bytes: int | None = None
    """Size of its weights, where they are this node's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineView(View):
    """What answers on this node itself."""

    name: str
    shareable: bool
    """Whether other peers' requests may run here."""
    slots: int
    running: int
    queued: int
    models: tuple[ModelView, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidatorInfo(View):
    """A member of the committee that agrees on the order."""

    author: str
    name: str
    stake: int
    last_round: int
    """Of its last block; 0 if none was seen lately."""
    silent: bool
    """Whether it makes no blocks while the others go on."""
    connected: bool = True
    """Whether it is this node, or connected to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsensusInfo(View):
    """The agreed order, as far as this node knows it."""

    schema: ClassVar[str] = "meshnode.consensus/1"

    epoch: int
    round: int
    lag: int
    """Rounds that have begun and are not decided."""
    commit_index: int
    commit_digest: str
    """Equal on two nodes at equal index: they agree on everything so far."""
    commit_time_ms: int
    waiting: int
    """Vertices that are not final yet."""
    behind: int = 0
    """About so many rounds are held by most peers and not here yet."""
    idle_ms: int | None = None
    """Since the last commit, by this node's clock."""
    quorum: int | None = None
    """Stake that decides."""
    standing: str
    """Own part: follower, recovering, no_quorum, active, stopped."""
    halted: str = ""
    """Why nothing is put in order any more."""
    conflicts: int = 0
    """Votes of validators that contradict their earlier ones."""
    validators: tuple[ValidatorInfo, ...] = ()
    profile: str = ""
    """Of the committee: bft3, bft5 or cft."""
    certified_commit: int = 0
    """The newest commit for whose state a quorum stands; 0 before the first."""
    pruned_lamport: int = 0
    """What was said up to here is not held by this node; 0 where all of it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MoneyInfo(View):
    """A node's own money and what it is bound by, in micro-ruv."""

    free_uruv: int
    locked_uruv: int
    """Reserved by orders, staked or unbonding, and in contracts."""
    open_orders: int
    live_contracts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WayInfo(View):
    """One way to find others or to be found, and what came of it."""

    name: str
    """book, mdns, rendezvous, clock, reachable, relay or direct."""
    state: Literal["ok", "fail", "unknown", "info"]
    detail: str
    fix: str = ""
    """What to do next, where it failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus(View):
    """A node at a glance."""

    schema: ClassVar[str] = "meshnode.status/1"

    version: str
    name: str
    author: str
    peer_id: str
    network: str
    network_name: str
    network_kind: str
    """'mesh' or 'demo'."""
    suite: str
    share: str
    addresses: tuple[str, ...]
    uptime_ms: int
    pid: int
    members: int
    peers_ready: int
    vertices: int
    heads: int
    heads_digest: str
    lamport: int
    quarantined: int
    publishing: str
    """'ready', or why own vertices cannot be published now."""
    forks: int = 0
    offences: dict[str, int] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    engine: EngineView | None = None
    home: str | None = None
    """None for a node that keeps nothing after it ends."""
    key_mode: str | None = None
    """How the node's key is kept, where it is kept."""
    api: str | None = None
    """Address of the local HTTP interface, where there is one."""
    api_url: str | None = None
    """Where its paths begin; clients made for OpenAI's interface add `/v1`."""
    consensus: ConsensusInfo | None = None
    money: MoneyInfo | None = None
    """None from a node of before there was any."""
    sealing: SealingInfo | None = None
    unanswered: int = 0
    """Open questions on which this node has a vote that it has not given."""
    problems: tuple[str, ...] = ()
    """One line each: what keeps the node from doing its work."""
    ways: tuple[WayInfo, ...] = ()
    """How members are found, and this node by them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerInfo(View):
    """Another member, connected or not."""

    author: str
    name: str
    peer: str | None = None
    ready: bool = False
    addresses: tuple[str, ...] = ()
    rtt_ms: int | None = None
    models: tuple[ModelView, ...] = ()
    slots: int | None = None
    running: int | None = None
    queued: int | None = None
    draining: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RefView(View):
    """How a vertex names another."""

    lamport: int
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VertexInfo(View):
    """A vertex in one line."""

    id: str
    author: str
    author_name: str
    kind: str
    lane: int
    seq: int
    lamport: int
    time_ms: int
    """The author's clock; advisory."""
    size_bytes: int
    parents: tuple[RefView, ...] = ()
    summary: str = ""
    """What the body says, in one short line; empty where it is opaque."""
    epoch: int | None = None
    round: int | None = None
    """Of a block; null for everything else."""
    commit: int | None = None
    """Index of the commit that put it out; null until then, and where nobody looked."""
    leads: bool = False
    """Whether it is the block that led that commit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finality(View):
    """Whether a vertex has its place in the agreed order, which nothing can change then."""

    schema: ClassVar[str] = "meshnode.finality/1"

    vertex: str
    final: bool
    commit_index: int | None = None
    """The commit that put it out; this and what follows are null until then."""
    commit_digest: str | None = None
    time_ms: int | None = None
    """Of that commit, on which the validators agree."""
    leader: bool = False
    """Whether it is the block that led the commit."""
    repeated_by: str | None = None
    """The vertex that says the same, where this one came too late: the place is that one's."""
    forgotten: bool = False
    """Whether it is older than what this node holds of the order: nothing is known of its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VertexDetail(View):
    """A vertex with its body, and its bytes as they are stored and signed."""

    schema: ClassVar[str] = "meshnode.vertex/1"

    vertex: VertexInfo
    body: dict[str, Any] | None
    """The body's fields by name; None for a kind or a form this version does not know."""
    wire: str
    """The signed vertex in hex."""
    finality: Finality | None = None
    """None where nobody looked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadsInfo(View):
    """What a node's store amounts to: equal digests mean equal stores."""

    schema: ClassVar[str] = "meshnode.heads/1"

    digest: str
    vertices: int
    lamport: int
    heads: tuple[RefView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage(View):
    """Tokens of an answer, as its engine counted them."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment(View):
    """What an answer cost, as both sides have signed; the market settles it a moment later."""

    contract: str
    """`meshnode market contracts` and the audits of both accounts tell what became of it."""
    provider: str
    provider_name: str
    price_uruv: int
    """Per lot of 1,000 billed tokens."""
    lots: int
    """That were bought; what was not used goes back."""
    tokens_in: int
    tokens_out: int
    tokens_billed: int
    cost_uruv: int
    receipts: int
    """That were signed while the answer came."""
    transcript_root: str
    """Digest of everything that passed, as the last receipt has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution(View):
    """What one peer added to an answer of several."""

    stage: str
    """'answer', 'revision' or 'judge'."""
    round: int
    """0 for first answers."""
    seat: int
    name: str
    author: str = ""
    model: str = ""
    vertex: str = ""
    """Its result; empty where it failed."""
    usage: Usage = Usage()
    cost_uruv: int = 0
    """Of one that failed after it had begun, the most that it may cost."""
    total_ms: int = 0
    problem: str = ""
    """Why it failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Together(View):
    """How an answer of several came about."""

    method: str
    """Who decided: 'judge' or 'vote'."""
    rounds: int
    """Of revision."""
    contributions: tuple[Contribution, ...]
    cost_uruv: int = 0
    """Of everything."""
    votes: int | None = None
    """For the answer that won, of `voters`; null where a judge decided."""
    voters: int | None = None
    notes: tuple[str, ...] = ()
    """One line each: what went otherwise than it was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(View):
    """A complete answer, and the vertex that says so."""

    schema: ClassVar[str] = "meshnode.answer/1"

    text: str
    model: str
    engine: str
    author: str
    """Who reasoned: the author of the result vertex."""
    peer: str
    """Transport id of who reasoned."""
    name: str
    local: bool
    share: str
    """'full' when the vertex carries the answer, 'digest' when it carries its digest only."""
    vertex: str
    lamport: int
    verified: bool
    """Whether the vertex has arrived, is by the peer that served, and matches this answer."""
    finish_reason: str
    usage: Usage
    queued_ms: int
    first_token_ms: int
    total_ms: int
    """Waiting, first token and whole answer as the asking side saw them."""
    attempts: tuple[str, ...] = ()
    """One line for each peer that was tried before."""
    seams: tuple[int, ...] = ()
    """Where in the text another peer went on with what one had begun, in characters."""
    message: dict[str, Any] | None = None
    """The whole answer message where it holds more than text (tool calls, reasoning)."""
    payment: Payment | None = None
    """What it cost; null where nothing was paid for it."""
    together: Together | None = None
    """Of an answer of several: how it came about. Usage and times are those of the whole then."""
    sealed: bool = False
    """Whether question and answer were encrypted between the two peers beneath the transport."""

    @property
    def cost_uruv(self) -> int:
        """What it cost altogether."""
        if self.together is not None:
            return self.together.cost_uruv
        return 0 if self.payment is None else self.payment.cost_uruv


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress(View):
    """Where several answer together: what one of them does. Such items come before `Started`."""

    type: Literal["progress"] = "progress"
    stage: str
    """'answer', 'revision', 'judge', 'vote', or 'note' for what goes otherwise than asked."""
    state: str
    """'asked', 'answered' or 'failed'."""
    detail: str
    """One line for people."""
    round: int = 0
    seat: int = 0
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started(View):
    """A stream's first item: who answers."""

    type: Literal["started"] = "started"
    model: str
    engine: str
    author: str
    peer: str
    name: str
    local: bool
    attempts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta(View):
    """A piece of the answer as it arrives."""

    type: Literal["delta"] = "delta"
    text: str
    """What it adds to the answer's text; may be empty."""
    chunk: dict[str, Any]
    """The engine's own `chat.completion.chunk` object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished(View):
    """A stream's last item."""

    type: Literal["finished"] = "finished"
    answer: Answer


StreamItem = Started | Delta | Finished | Progress
"""What a streamed answer is made of: one `Started`, any number of `Delta`, one `Finished`.

`Progress` comes only where several answer together.
"""


_STREAM_ITEMS: dict[str, type[StreamItem]] = {
    "started": Started,
    "delta": Delta,
    "finished": Finished,
    "progress": Progress,
}


def read_stream_item(data: object) -> StreamItem:
    """The item of a streamed answer an object stands for. Raises `MalformedMessage`."""
    return _STREAM_ITEMS[read_type(data, _STREAM_ITEMS)].from_json(data)


def make_list_document(name: str, items: list[Any]) -> dict[str, Any]:
    """A list that stands alone: `make_list_document("peers", await node.peers())`."""
    return {"schema": f"meshnode.{name}/1", name: [item.to_json() for item in items]}


def read_list_document(name: str, record: type[ViewT], data: object) -> list[ViewT]:
    """The inverse of `make_list_document`. Raises `MalformedMessage`."""
    items = data.get(name) if isinstance(data, dict) else None
    if not isinstance(items, list):
        raise MalformedMessage(f"not a document of {name}: it has no list '{name}'")
    return [record.from_json(item) for item in items]


def read_type(data: object, known: dict[str, Any]) -> str:
    """Which of several records a JSON document is. Raises `InvalidMessage` for none of them."""
    kind = data.get("type") if isinstance(data, dict) else None
    if not isinstance(kind, str) or kind not in known:
        raise MalformedMessage(f"'type' is {kind!r} where one of {', '.join(known)} is expected")
    return kind
