"""The result vertex: what a serving peer signs, and what the asking peer checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from dag.bodies import (
    ANSWER_DOMAIN,
    REQUEST_DOMAIN,
    RESULT_DECODER,
    BlobRef,
    BlobResult,
    Result,
)
from dag.canonical import compute_digest, encode
from dag.types import BODY_BYTES_MAX, Kind
from market.attestation import holds_key
from meshnode.core.blob_manifest import digest_content, make_blob_ref
from meshnode.errors import InvalidMessage
from meshnode.serving.protocol import clip_text

if TYPE_CHECKING:
    from dag.genesis import Share
    from dag.vertex import SignedVertex

ANSWER_TYPE: Final = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reasoning:
    """A finished answer, as its result vertex will tell it."""

    body: bytes
    """The request as it was asked."""
    requester: bytes
    model: str
    model_revision: str
    engine: str
    content: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    queued_ms: int
    first_token_ms: int
    total_ms: int


def choose_share(network: Share, asked: Share) -> Share:
    """The stricter of the network's rule and the asker's wish."""
    return "digest" if "digest" in {network, asked} else "full"


def compute_request_digest(body: bytes) -> bytes:
    """Name a request by the JSON it was asked in."""
    return compute_digest(REQUEST_DOMAIN, body)


def compute_answer_digest(content: str) -> bytes:
    """Name an answer by its content."""
    return compute_digest(ANSWER_DOMAIN, content.encode(errors="replace"))


def encode_result(reasoning: Reasoning, share: Share) -> tuple[bytes, Share]:
    """The body of a result vertex: the digest alone where the answer does not fit, or holds a key.

    Whoever asked has the answer either way; a vertex is for everybody, and for good.
    """
    if share == "full" and not holds_key(reasoning.content):
        body = encode(_make_result(reasoning, answer=_make_encodable(reasoning.content)))
        if len(body) <= BODY_BYTES_MAX:
            return body, share
    return encode(_make_result(reasoning, answer="")), "digest"


class BlobKeeper(Protocol):
    """Where answers go that do not fit a vertex."""

    async def keep_blob(self, content: bytes, *, media_type: str) -> BlobRef | None:
        """Keep content that a vertex is about to name; None where there is no room for it."""


async def make_result_body(
    keeper: BlobKeeper, reasoning: Reasoning, share: Share
) -> tuple[bytes, Share]:
    """As `encode_result`, but an answer that does not fit is kept as a blob, which the body names.

    It is a digest where there is no room for a blob either.
    """
    body, shown = encode_result(reasoning, share)
    if share == "digest" or shown == "full" or holds_key(reasoning.content):
        return body, shown
    content = _make_encodable(reasoning.content).encode()
    ref = await keeper.keep_blob(content, media_type=ANSWER_TYPE)
    if ref is None:
        return body, shown
    plain = RESULT_DECODER.decode(body)
    fields = {name: getattr(plain, name) for name in Result.__struct_fields__}
    return encode(BlobResult(**fields, blob=ref)), "full"


def is_result_of(
    signed: SignedVertex, *, author: bytes, requester: bytes, body: bytes, content: str
) -> bool:
    """Whether a vertex is this author's result for this request and this answer.

    Signatures were checked when the vertex entered the store.
    """
    vertex = signed.vertex
    if vertex.author != author or vertex.kind != Kind.RESULT:
        return False
    try:
        result = RESULT_DECODER.decode(vertex.body)
    except InvalidMessage:
        return False
    return (
        result.requester == requester
        and result.request_digest == compute_request_digest(body)
        and result.answer_digest == compute_answer_digest(content)
        and (not result.answer or result.answer == _make_encodable(content))
        and (not isinstance(result, BlobResult) or result.blob == _make_ref(content))
    )


def _make_ref(content: str) -> BlobRef:
    return make_blob_ref(digest_content(_make_encodable(content).encode()))


def _make_result(reasoning: Reasoning, *, answer: str) -> Result:
    return Result(
        request_digest=compute_request_digest(reasoning.body),
        requester=reasoning.requester,
        model=clip_text(reasoning.model),
        model_revision=clip_text(reasoning.model_revision),
        engine=clip_text(reasoning.engine),
        answer=answer,
        answer_digest=compute_answer_digest(reasoning.content),
        answer_bytes=len(reasoning.content.encode(errors="replace")),
        finish_reason=clip_text(reasoning.finish_reason),
        prompt_tokens=reasoning.prompt_tokens,
        completion_tokens=reasoning.completion_tokens,
        queued_ms=reasoning.queued_ms,
        first_token_ms=reasoning.first_token_ms,
        total_ms=reasoning.total_ms,
    )


def _make_encodable(text: str) -> str:
    """JSON can escape half a surrogate pair, which no UTF-8 can carry."""
    return text.encode(errors="replace").decode()
