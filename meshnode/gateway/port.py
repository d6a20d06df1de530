"""What the HTTP interface needs: a node, and the process around it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from meshnode.decision_views import CHANGE_IN_MS, DECIDE_IN_MS, DecisionInfo
from meshnode.errors import MeshError
from meshnode.event_views import NodeEvent
from meshnode.gateway.blob_port import BlobPort
from meshnode.market_port import MarketPort
from meshnode.member_views import EXPEL_IN_MS, InvitationInfo, MemberInfo
from meshnode.route_views import PlacementInfo, RouteInfo
from meshnode.views import (
    Answer,
    Finality,
    HeadsInfo,
    NodeStatus,
    PeerInfo,
    StreamItem,
    VertexDetail,
    VertexInfo,
)

if TYPE_CHECKING:
    from meshnode.node.measuring import Readings

Messages = Sequence[Mapping[str, Any]]
"""An OpenAI-shaped list of chat messages."""

ASK_TIMEOUT_MS = 120_000
INVITE_EXPIRES_IN_MS = 24 * 3_600_000


class NotReady(MeshError):
    """The node is starting or stopping; the message names the phase."""

    code = "not_ready"
    retryable = True

    def __init__(self, message: str, *, hint: str = "", phase: str = "") -> None:
        """`phase` is the word for it, such as 'loading'."""
        super().__init__(message, hint=hint)
        self.phase = phase


class MeshNode(MarketPort, Protocol):
    """A node, in this process or behind its HTTP interface: the same methods."""

    @property
    def blobs(self) -> BlobPort:
        """Content that is too large for a vertex."""

    async def status(self) -> NodeStatus:
        """The node at a glance."""

    async def peers(self) -> list[PeerInfo]:
        """The other members."""

    async def route(self, prompt: str | Messages = "", *, model: str = "auto") -> RouteInfo:
        """Where a question would go now and why."""

    async def placements(self, *, limit: int = 50) -> list[PlacementInfo]:
        """What was decided on letting engines answer questions, the newest first."""

    async def ask(
        self,
        prompt: str | Messages,
        *,
        model: str = "auto",
        share: str | None = None,
        timeout_ms: int = ASK_TIMEOUT_MS,
        knowledge: Sequence[str] = (),
        peer: str | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        extra: Mapping[str, Any] | None = None,
        max_price_uruv: int | None = None,
        max_spend_uruv: int | None = None,
        wishes: Mapping[str, int] | None = None,
        context: Sequence[str] = (),
        ensemble: int | None = None,
        debate: int | None = None,
        judge: str | None = None,
    ) -> Answer:
        """Ask the mesh and wait for the whole answer."""

    def stream(
        self,
        prompt: str | Messages,
        *,
        model: str = "auto",
        share: str | None = None,
        timeout_ms: int = ASK_TIMEOUT_MS,
        knowledge: Sequence[str] = (),
        peer: str | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        extra: Mapping[str, Any] | None = None,
        max_price_uruv: int | None = None,
        max_spend_uruv: int | None = None,
        wishes: Mapping[str, int] | None = None,
        context: Sequence[str] = (),
        ensemble: int | None = None,
        debate: int | None = None,
        judge: str | None = None,
    ) -> AsyncIterator[StreamItem]:
        """Ask the mesh and take the answer as it comes."""

    async def embed(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a request for embeddings with this node's own engine."""

    async def publish(
        self,
        content: str | bytes,
        *,
        title: str = "",
        media_type: str = "text/plain",
        knowledge: Sequence[str] = (),
    ) -> VertexInfo:
        """Share a note with the mesh."""

    def events(self, *, after: int | None = None) -> AsyncIterator[NodeEvent]:
        """What happens from now on, and with `after` first the commits behind that one."""

    async def finality(self, vertex_id: str, *, wait_ms: int = 0) -> Finality:
        """Whether a vertex has its place in the agreed order."""

    async def vertices(
        self, *, limit: int = 50, kind: str | None = None, author: str | None = None
    ) -> list[VertexInfo]:
        """The newest vertices."""

    async def vertex(self, vertex_id: str) -> VertexDetail:
        """One vertex, by its id or the beginning of it."""

    async def heads(self) -> HeadsInfo:
        """What the store amounts to."""

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

    async def vote(self, decision_id: str, option: str, *, reason: str = "") -> VertexInfo:
        """Answer a question."""

    async def decisions(self, *, status: str | None = None) -> list[DecisionInfo]:
        """Questions and where they stand, newest first."""

    async def decision(self, decision_id: str, *, wait_ms: int = 0) -> DecisionInfo:
        """One question, by its id or the beginning of it; waits so long for its end."""

    async def members(self, *, standing: str | None = None) -> list[MemberInfo]:
        """Everybody known and its standing by the order."""

    async def member(self, author: str) -> MemberInfo:
        """One member, by its name, its id or the beginning of it."""

    async def expel(
        self, author: str, *, reason: str, closes_in_ms: int = EXPEL_IN_MS
    ) -> VertexInfo:
        """Ask the validators to expel a member."""

    async def vouch(self, author: str) -> VertexInfo:
        """Speak for a newcomer of an open network."""

    async def revoke_identity(self, *, reason: str = "") -> VertexInfo:
        """End this node's own identity, for good."""

    async def invitations(self) -> list[InvitationInfo]:
        """What this node has issued, and taken back."""

    async def revoke_invitation(self, key: str) -> VertexInfo:
        """Take an invitation back."""

    async def invite(
        self,
        *,
        uses: int = 1,
        expires_in_ms: int = INVITE_EXPIRES_IN_MS,
        role: str = "peer",
        grant_uruv: int = 0,
    ) -> str:
        """A ticket for somebody else, who is given so much of this node's money."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """How far a process is."""

    name: str
    """'opening', 'loading', 'connecting', 'ready', 'joining' or 'stopping'."""
    detail: str
    """What is being done, for people: 'loading engine embedded'."""
    elapsed_ms: int
    """Time spent in this phase so far."""

    @property
    def ready(self) -> bool:
        """Whether the node can be used."""
        return self.name == "ready"


class NodeHost(Protocol):
    """The process that runs a node."""

    @property
    def phase(self) -> Phase:
        """How far it is."""

    def get_node(self) -> MeshNode:
        """The node. Raises `NotReady`."""

    def read_meters(self) -> Readings | None:
        """What the node measures of itself; None while there is none."""

    async def join(self, ticket: str) -> NodeStatus:
        """Leave a network without other members and join the ticket's."""

    def request_shutdown(self) -> None:
        """Stop soon; returns at once."""
