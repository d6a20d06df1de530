"""What clients send, read strictly: an unknown field is a mistake, not a wish to be ignored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import msgspec

from meshnode.decision_views import CHANGE_IN_MS, DECIDE_IN_MS
from meshnode.errors import MalformedMessage
from meshnode.gateway.port import ASK_TIMEOUT_MS, INVITE_EXPIRES_IN_MS
from meshnode.member_views import EXPEL_IN_MS

if TYPE_CHECKING:
    from aiohttp import web

BodyT = TypeVar("BodyT", bound="Body")

DAY_MS = 24 * 3_600_000
_Text = Annotated[str, msgspec.Meta(max_length=256)]
_Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
_Span = Annotated[int, msgspec.Meta(ge=1, le=90 * DAY_MS)]
_Stake = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_Amount = Annotated[int, msgspec.Meta(ge=1, le=2**62)]
_Knowledge = Annotated[tuple[_Text, ...], msgspec.Meta(max_length=6)]


class Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the bodies."""


class AskBody(Body, frozen=True):
    """A question. Exactly one of prompt and messages is given."""

    prompt: str | None = None
    messages: list[dict[str, Any]] | None = None
    model: _Text = "auto"
    share: Literal["full", "digest"] | None = None
    timeout_ms: Annotated[int, msgspec.Meta(ge=1, le=DAY_MS)] = ASK_TIMEOUT_MS
    knowledge: _Knowledge = ()
    peer: _Text | None = None
    max_tokens: _Count | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=10)] | None = None
    extra: dict[str, Any] | None = None
    max_price_uruv: _Amount | None = None
    """Per lot of 1,000 billed tokens: given, the answer is bought on the market."""
    max_spend_uruv: _Amount | None = None
    wishes: Annotated[dict[str, int], msgspec.Meta(max_length=8)] | None = None
    """What the provider must offer: context_tokens, sla_bp, first_token_ms, reputation_bp."""
    context: _Knowledge = ()
    """Results and notes whose text the question builds on; refused where one shows none."""
    ensemble: Annotated[int, msgspec.Meta(ge=2, le=6)] | None = None
    """So many peers answer at once, and one answer is made of theirs."""
    debate: Annotated[int, msgspec.Meta(ge=1, le=3)] | None = None
    """So many times they see each other's answers and revise their own."""
    judge: Literal["judge", "vote"] | None = None
    """Who decides where several answer."""
    stream: bool = False
    """Whether to answer item by item, as newline-delimited JSON."""

    def get_question(self) -> str | list[dict[str, Any]]:
        """The prompt or the messages. Raises `MalformedMessage`."""
        if self.prompt is not None and self.messages is None:
            return self.prompt
        if self.messages is not None and self.prompt is None:
            return self.messages
        raise MalformedMessage("a question has either a prompt or messages")

    def get_options(self) -> dict[str, Any]:
        """The keyword arguments of `ask` and `stream`."""
        names = (
            "model",
            "share",
            "timeout_ms",
            "knowledge",
            "peer",
            "max_tokens",
            "temperature",
            "extra",
            "max_price_uruv",
            "max_spend_uruv",
            "wishes",
            "context",
            "ensemble",
            "debate",
            "judge",
        )
        return {name: getattr(self, name) for name in names}


class PublishBody(Body, frozen=True):
    """A note; content as text, or as base64 for anything else."""

    content: str | None = None
    content_base64: bytes | None = None
    title: _Text = ""
    media_type: _Text = "text/plain"
    knowledge: _Knowledge = ()

    def get_content(self) -> str | bytes:
        """The content. Raises `MalformedMessage`."""
        if self.content is not None and self.content_base64 is None:
            return self.content
        if self.content_base64 is not None and self.content is None:
            return self.content_base64
        raise MalformedMessage("a note has either content or content_base64")


class ProposeBody(Body, frozen=True):
    """A question to put to the mesh."""

    question: str
    options: Annotated[tuple[_Text, ...], msgspec.Meta(max_length=16)] = ("yes", "no")
    closes_in_ms: _Span = DECIDE_IN_MS
    electorate: Literal["members", "stake"] = "members"
    threshold: _Text = "1/2"


class CommitteeBody(Body, frozen=True):
    """Another committee to ask for."""

    stakes: Annotated[dict[str, _Stake], msgspec.Meta(max_length=256)] = {}
    """By member: its id, the beginning of it, or its name; 0 takes its seat away."""
    profile: _Text | None = None
    gc_commits: _Count | None = None
    question: str | None = None
    closes_in_ms: _Span = CHANGE_IN_MS


class ExpelBody(Body, frozen=True):
    """Why a member is to be expelled."""

    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=400)]
    closes_in_ms: _Span = EXPEL_IN_MS


class RevokeIdentityBody(Body, frozen=True):
    """Why this node's identity ends."""

    reason: Annotated[str, msgspec.Meta(max_length=500)] = ""


class MembersQuery(Body, frozen=True):
    """Which members."""

    standing: _Text | None = None


class VoteBody(Body, frozen=True):
    """An answer to a question."""

    option: _Text
    reason: str = ""


class DecisionsQuery(Body, frozen=True):
    """Which decisions."""

    status: _Text | None = None


class InviteBody(Body, frozen=True):
    """Whom to let in."""

    uses: _Count = 1
    expires_in_ms: Annotated[int, msgspec.Meta(ge=0, le=366 * DAY_MS)] = INVITE_EXPIRES_IN_MS
    """0 for never."""
    role: Literal["peer", "validator", "open"] = "peer"
    """'open': a ticket without a secret, for whoever comes to an open network."""
    grant_uruv: Annotated[int, msgspec.Meta(ge=0, le=2**62)] = 0


class JoinBody(Body, frozen=True):
    """Where to go."""

    ticket: Annotated[str, msgspec.Meta(max_length=4_096)]


class VerticesQuery(Body, frozen=True):
    """Which vertices."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 50
    kind: _Text | None = None
    author: _Text | None = None


class RouteQuery(Body, frozen=True):
    """A question that is not asked."""

    model: _Text = "auto"
    prompt: Annotated[str, msgspec.Meta(max_length=4_000)] = ""


class PlacementsQuery(Body, frozen=True):
    """How many placements."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 50


class FinalityQuery(Body, frozen=True):
    """How long to wait for a vertex to become final."""

    wait_ms: Annotated[int, msgspec.Meta(ge=0, le=600_000)] = 0


class EventsQuery(Body, frozen=True):
    """Where to begin."""

    after: Annotated[int, msgspec.Meta(ge=0)] | None = None


class DecisionQuery(Body, frozen=True):
    """How long to wait for a decision."""

    wait_ms: Annotated[int, msgspec.Meta(ge=0, le=600_000)] = 0


async def read_body(request: web.Request, kind: type[BodyT]) -> BodyT:
    """A request's JSON body; an absent one is an empty object. Raises `MalformedMessage`."""
    data = await request.read()
    try:
        return msgspec.json.decode(data or b"{}", type=kind)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise MalformedMessage(f"the body cannot be used: {error}") from None


def read_query(request: web.Request, kind: type[BodyT]) -> BodyT:
    """A request's query. Raises `MalformedMessage`."""
    try:
        return msgspec.convert(dict(request.query), kind, strict=False)
    except msgspec.ValidationError as error:
        raise MalformedMessage(f"the query cannot be used: {error}") from None
