"""From the node's own records to the ones people read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from consensus.block import BlockBody, read_body
from consensus.errors import InvalidBlock
from dag.bodies import (
    DECISION_DECODER,
    EVIDENCE_DECODER,
    MEMBERSHIP_DECODER,
    NOTE_DECODER,
    PROFILE_DECODER,
    RESULT_DECODER,
    BallotBody,
    BlobNote,
    BlobResult,
    Evidence,
    ExpulsionBody,
    IdentityRevocation,
    InvitationRevocation,
    MembershipBody,
    Note,
    Profile,
    ProposalBody,
    Result,
    SeatRequest,
    Vouching,
)
from dag.types import KIND_NAMES, Kind, Ref, get_kind_name
from market.commands import BATCH_DECODER, Batch
from meshnode.core.events import (
    Alone,
    Committed,
    EpochBegan,
    Event,
    ForkSeen,
    MembershipEnded,
    OffenceSeen,
    OrderHalted,
    OrderResumed,
    PeerLost,
    PeerReady,
    PeerRefused,
    PeerServes,
    Repeated,
    VertexAdmitted,
)
from meshnode.errors import CommandRejected, InvalidMessage
from meshnode.event_views import (
    ForkFound,
    MemberOut,
    NodeEvent,
    NoPeers,
    OffenceCounted,
    PeerJoined,
    PeerLeft,
    PeerServing,
    RefusedByPeer,
    VertexSeen,
)
from meshnode.node.market_naming import name_command, summarise_commands
from meshnode.node.order_presenting import show_order_event
from meshnode.serving.protocol import clip_text
from meshnode.views import (
    EngineView,
    HeadsInfo,
    ModelView,
    PeerInfo,
    RefView,
    VertexDetail,
    VertexInfo,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dag.authors import Author
    from dag.vertex import SignedVertex
    from meshnode.core.messages import ModelAdvert
    from meshnode.core.views import NodeView, PeerView
    from meshnode.serving.desk import Desk

SUMMARY_CHARS_MAX: Final = 100
_TRIED_SHOWN: Final = 4
SHORT_HEX: Final = 8

Body = (
    BlockBody
    | Profile
    | Result
    | Note
    | ProposalBody
    | BallotBody
    | Evidence
    | Batch
    | MembershipBody
)

_DECODERS: Final[dict[int, Callable[[bytes], Any]]] = {
    Kind.PROFILE: PROFILE_DECODER.decode,
    Kind.BLOCK: read_body,
    Kind.RESULT: RESULT_DECODER.decode,
    Kind.NOTE: NOTE_DECODER.decode,
    Kind.DECISION: DECISION_DECODER.decode,
    Kind.MARKET: BATCH_DECODER.decode,
    Kind.RECEIPT: BATCH_DECODER.decode,
    Kind.EVIDENCE: EVIDENCE_DECODER.decode,
    Kind.MEMBERSHIP: MEMBERSHIP_DECODER.decode,
}
_KINDS: Final = {name: kind for kind, name in KIND_NAMES.items()}


def parse_kind(text: str) -> int:
    """The code of a kind's name. Raises `CommandRejected`."""
    if text in _KINDS:
        return _KINDS[text]
    number = text.removeprefix("opaque-")
    if number != text and number.isdecimal() and len(number) < 19:
        return int(number)
    raise CommandRejected(
        f"there is no kind of vertex called '{text}'", hint=f"one of {', '.join(_KINDS)}"
    )


def name_author(author: bytes, names: Mapping[bytes, str]) -> str:
    """How people call an author: its name, or the start of its id."""
    return names.get(author) or author.hex()[:SHORT_HEX]


def decode_body(signed: SignedVertex) -> Body | None:
    """The body of a vertex; None where it is opaque or malformed, and so without effect."""
    decode = _DECODERS.get(signed.vertex.kind)
    if decode is None:
        return None
    try:
        body: Body = decode(signed.vertex.body)
    except (InvalidMessage, InvalidBlock):
        return None
    return body


def show_vertex(signed: SignedVertex, names: Mapping[bytes, str]) -> VertexInfo:
    """A vertex in one line."""
    vertex, body = signed.vertex, decode_body(signed)
    block = body if isinstance(body, BlockBody) else None
    return VertexInfo(
        id=signed.id.hex(),
        author=vertex.author.hex(),
        author_name=name_author(vertex.author, names),
        kind=get_kind_name(vertex.kind),
        lane=vertex.lane,
        seq=vertex.seq,
        lamport=vertex.lamport,
        time_ms=vertex.time_ms,
        size_bytes=len(signed.wire),
        parents=tuple(show_ref(ref) for ref in vertex.parents),
        summary=_summarise(body),
        epoch=None if block is None else block.epoch,
        round=None if block is None else block.round,
    )


def show_detail(signed: SignedVertex, names: Mapping[bytes, str]) -> VertexDetail:
    """A vertex with its body and its bytes."""
    body = decode_body(signed)
    return VertexDetail(
        vertex=show_vertex(signed, names),
        body=None if body is None else _show_fields(body),
        wire=signed.wire.hex(),
    )


def show_ref(ref: Ref) -> RefView:
    """How a vertex names another."""
    return RefView(lamport=ref.lamport, id=ref.id.hex())


def show_heads(view: NodeView) -> HeadsInfo:
    """What a store amounts to."""
    return HeadsInfo(
        digest=view.heads_digest.hex(),
        vertices=view.vertices,
        lamport=view.lamport,
        heads=tuple(show_ref(ref) for ref in view.heads),
    )


def show_peers(view: NodeView) -> list[PeerInfo]:
    """Every other member: those connected first, then by name."""
    ready = {peer.author: peer for peer in view.peers}
    others = [member for member in view.members if member.id != view.author]
    shown = [_show_member(member, ready.get(member.id)) for member in others]
    return sorted(shown, key=lambda peer: (not peer.ready, peer.name, peer.author))


def _show_member(member: Author, peer: PeerView | None) -> PeerInfo:
    name = member.name or member.id.hex()[:SHORT_HEX]
    if peer is None:
        return PeerInfo(author=member.id.hex(), name=name, addresses=member.addresses)
    advert = peer.advert
    return PeerInfo(
        author=member.id.hex(),
        name=name,
        peer=peer.peer,
        ready=True,
        addresses=peer.addresses or (peer.address,),
        rtt_ms=peer.rtt_ms,
        models=() if advert is None else show_models(advert.models),
        slots=None if advert is None else advert.slots,
        running=None if advert is None else advert.running,
        queued=None if advert is None else advert.queued,
        draining=advert is not None and advert.draining,
    )


def show_models(models: Sequence[ModelAdvert]) -> tuple[ModelView, ...]:
    """What a peer says that it serves."""
    return tuple(
        ModelView(
            id=model.id,
            engine=model.engine,
            label=model.label,
            revision=model.revision,
            context_tokens=model.context_tokens or None,
            tools=model.tools,
        )
        for model in models
    )


def describe_problems(view: NodeView) -> list[str]:
    """What keeps a node from taking part, each with the next step."""
    problems = []
    if view.speech == "forked":
        problems.append(
            "another process has signed with this node's keys: stop the other copy, then "
            "`meshnode identity new`"
        )
    if view.refusal:
        problems.append(
            f"{view.refusal}: `meshnode identity new`, and join with a new ticket of a member"
        )
    elif view.alone is not None:
        problems.append(
            f"no member answers; tried {_describe_attempts(view.alone)}: start one of them, or "
            "join again with a fresh ticket"
        )
    if view.consensus.halted:
        problems.append(f"the order has halted: {view.consensus.halted}")
    if view.consensus.standing == "no_quorum" and view.consensus.waiting:
        problems.append(
            "too few validators are connected to agree on an order: start the others, "
            "`meshnode consensus status` names them"
        )
    return problems


def _describe_attempts(tried: Sequence[tuple[str, str]]) -> str:
    """The addresses tried last, each once, with what was found there last."""
    found: dict[str, str] = {}
    for address, result in reversed(tried):
        # A failed dial names all addresses it tried, and ends with advice.
        _, _, own = result.partition(f"{address}: ")
        reason = (own or result).partition("; ")[0].partition(", /")[0]
        found.setdefault(address.partition("/p2p/")[0], reason)
    shown = [f"{address} ({reason})" for address, reason in list(found.items())[:_TRIED_SHOWN]]
    more = len(found) - len(shown)
    return ", ".join(shown + [f"{more} more"] * (more > 0)) or "nothing: no address is known"


def show_engine(desk: Desk) -> EngineView:
    """What answers on this node itself."""
    engine = desk.engine
    return EngineView(
        name=engine.name,
        shareable=engine.shareable,
        slots=engine.slots,
        running=desk.running,
        queued=desk.queued,
        models=tuple(
            ModelView(
                id=model.id,
                engine=engine.name,
                label=model.label,
                revision=model.revision,
                context_tokens=model.context_tokens or None,
                tools=model.tools,
                size_bytes=model.size_bytes or None,
            )
            for model in desk.models
        ),
    )


def show_event(event: Event, names: Mapping[bytes, str]) -> NodeEvent | None:
    """A fact of the core for people; None for what only the node itself is concerned with."""
    match event:
        case Committed() | EpochBegan() | OrderHalted() | OrderResumed() | Repeated():
            return show_order_event(event)
        case VertexAdmitted():
            return VertexSeen(vertex=show_vertex(event.signed, names), own=not event.source)
        case PeerReady():
            return PeerJoined(peer=event.peer, author=event.author.hex(), name=event.name)
        case PeerLost():
            return PeerLeft(peer=event.peer, author=event.author.hex(), reason=event.reason)
        case PeerRefused():
            return RefusedByPeer(peer=event.peer, reason=event.reason)
        case MembershipEnded():
            return MemberOut(author=event.author.hex(), reason=event.reason)
        case PeerServes():
            return PeerServing(
                peer=event.peer,
                author=event.author.hex(),
                models=show_models(event.models),
                slots=event.slots,
                running=event.running,
                queued=event.queued,
                draining=event.draining,
            )
        case ForkSeen():
            return ForkFound(
                author=event.author.hex(),
                lane=event.lane,
                seq=event.seq,
                first=event.first.hex(),
                second=event.second.hex(),
            )
        case OffenceSeen():
            return OffenceCounted(peer=event.peer, offence=event.offence, detail=event.detail)
        case Alone():
            return NoPeers(tried=event.tried)
        case _:
            return None


def make_knowledge_text(signed: SignedVertex) -> str:
    """What a vertex contributes to a question that builds on it; empty where it says nothing."""
    body = decode_body(signed)
    if isinstance(body, BlobResult | BlobNote):
        return ""  # what it names has to be fetched first
    if isinstance(body, Result):
        return body.answer
    if isinstance(body, Note) and body.media_type.startswith("text/"):
        text = body.content.decode(errors="replace")
        return f"{body.title}\n{text}" if body.title else text
    return ""


def _summarise(body: Body | None) -> str:
    match body:
        case BlockBody():
            voted = f", commit {body.votes[-1].index} reached" if body.votes else ""
            text = f"round {body.round}{voted}"
        case Profile():
            text = body.name
        case BlobResult():
            text = f"{body.model}: (blob of {body.blob.size_bytes} bytes)"
        case BlobNote():
            text = f"{body.title or body.media_type} (blob of {body.blob.size_bytes} bytes)"
        case Result():
            text = f"{body.model}: {body.answer or f'({body.answer_bytes} bytes, digest only)'}"
        case Note():
            text = body.title or body.content[: 4 * SUMMARY_CHARS_MAX].decode(errors="replace")
        case ProposalBody():
            text = f"asks: {body.question}"
        case BallotBody():
            text = f"answers {body.proposal.hex()[:SHORT_HEX]}: option {body.option + 1}"
        case SeatRequest():
            text = "asks for a seat among the validators, as it was invited to"
        case ExpulsionBody():
            text = f"asks to expel {body.member.hex()[:SHORT_HEX]}: {body.reason}"
        case InvitationRevocation():
            text = f"takes back its invitation {body.bearer_key.hex()[:SHORT_HEX]}"
        case IdentityRevocation():
            text = f"ends its own identity: {body.reason}" if body.reason else "ends its identity"
        case Vouching():
            text = f"vouches for {body.newcomer.hex()[:SHORT_HEX]}"
        case Evidence():
            text = "two vertices of one author in one place"
        case Batch():
            text = summarise_commands(body.commands)
        case _:
            return ""
    return clip_text(" ".join(text.split()), chars_max=SUMMARY_CHARS_MAX)


def _show_fields(body: Body) -> dict[str, Any]:
    fields = {name: _show_value(getattr(body, name)) for name in body.__struct_fields__}
    if isinstance(body, Note) and body.media_type.startswith("text/"):
        fields["content"] = body.content.decode(errors="replace")
    if isinstance(body, Batch):
        fields["commands"] = tuple(
            {"command": name_command(command), **_show_value(command)} for command in body.commands
        )
    return fields


def _show_value(value: object) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return tuple(_show_value(part) for part in value)
    if isinstance(value, msgspec.Struct):
        return {name: _show_value(getattr(value, name)) for name in value.__struct_fields__}
    return value
