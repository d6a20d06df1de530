"""The result vertex says what was asked and answered, and nothing else passes for it."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest

from dag.bodies import RESULT_DECODER, BlobResult
from dag.canonical import encode
from dag.types import BODY_BYTES_MAX, Kind
from meshnode.core.blob_manifest import digest_content, make_blob_ref
from meshnode.serving.results import (
    Reasoning,
    choose_share,
    compute_answer_digest,
    encode_result,
    is_result_of,
    make_result_body,
)
from tests.support.serving_net import make_vertex

AUTHOR, REQUESTER = b"a" * 32, b"r" * 32
REASONING = Reasoning(
    body=b"{}",
    requester=REQUESTER,
    model="m",
    model_revision="r",
    engine="e",
    content="answer",
    finish_reason="stop",
    prompt_tokens=1,
    completion_tokens=2,
    queued_ms=3,
    first_token_ms=4,
    total_ms=5,
)


def check(wire: bytes, *, kind: int = Kind.RESULT, **change) -> bool:
    claim = {
        "author": AUTHOR,
        "requester": REQUESTER,
        "body": b"{}",
        "content": "answer",
        **change,
    }
    return is_result_of(make_vertex(AUTHOR, kind, wire), **claim)


@pytest.mark.parametrize(
    ("network", "asked", "share"),
    [
        ("full", "full", "full"),
        ("full", "digest", "digest"),
        ("digest", "full", "digest"),
        ("digest", "digest", "digest"),
    ],
)
def test_share_is_the_stricter_of_network_and_asker(network, asked, share):
    assert choose_share(network, asked) == share


def test_result_carries_the_answer_when_all_is_shared():
    body, share = encode_result(REASONING, "full")
    assert share == "full"
    assert RESULT_DECODER.decode(body).answer == "answer"
    assert check(body)


def test_result_hides_the_answer_when_the_digest_is_shared():
    body, share = encode_result(REASONING, "digest")
    assert share == "digest"
    assert b"answer" not in body
    assert RESULT_DECODER.decode(body).answer_digest == compute_answer_digest("answer")
    assert check(body)


def test_result_falls_back_to_the_digest_when_the_answer_does_not_fit():
    content = "x" * BODY_BYTES_MAX
    body, share = encode_result(dataclasses.replace(REASONING, content=content), "full")
    assert share == "digest"
    assert RESULT_DECODER.decode(body).answer_bytes == BODY_BYTES_MAX
    assert check(body, content=content)


def test_result_survives_half_a_surrogate_pair():
    body, _ = encode_result(dataclasses.replace(REASONING, content="a\ud800"), "full")
    assert check(body, content="a\ud800")


@pytest.mark.parametrize(
    "change",
    [{"author": b"x" * 32}, {"requester": AUTHOR}, {"body": b"[]"}, {"content": "other"}],
)
def test_result_is_refused_when_it_tells_of_something_else(change):
    body, _ = encode_result(REASONING, "full")
    assert not check(body, **change)


def test_result_is_refused_when_it_is_no_result():
    body, _ = encode_result(REASONING, "full")
    assert not check(body, kind=Kind.NOTE)
    assert not check(b"\x00")


def test_result_is_refused_when_its_answer_is_not_the_one_digested():
    body, _ = encode_result(REASONING, "full")
    lie = RESULT_DECODER.decode(body)
    forged = type(lie)(**{**{f: getattr(lie, f) for f in lie.__struct_fields__}, "answer": "lie"})
    assert not check(encode(forged))


class Keeper:
    """A node that keeps blobs, or has no room for them."""

    def __init__(self, *, full=False):
        self.full, self.kept = full, []

    async def keep_blob(self, content, *, media_type):
        self.kept.append((content, media_type))
        return None if self.full else make_blob_ref(digest_content(content))


LONG = dataclasses.replace(REASONING, content="long " * 4_000)


async def test_answer_that_does_not_fit_is_named_as_a_blob():
    keeper = Keeper()
    body, share = await make_result_body(keeper, LONG, "full")
    result = RESULT_DECODER.decode(body)
    assert share == "full"
    assert isinstance(result, BlobResult)
    assert (result.answer, result.answer_digest) == ("", compute_answer_digest(LONG.content))
    assert keeper.kept == [(LONG.content.encode(), "text/plain; charset=utf-8")]
    signed = make_vertex(AUTHOR, Kind.RESULT, body)
    facts = {"author": AUTHOR, "requester": LONG.requester, "body": LONG.body}
    assert is_result_of(signed, **facts, content=LONG.content)
    other = msgspec.structs.replace(result, blob=make_blob_ref(digest_content(b"other")))
    lie = make_vertex(AUTHOR, Kind.RESULT, encode(other))
    assert not is_result_of(lie, **facts, content=LONG.content)


@pytest.mark.parametrize(
    ("content", "share", "full"),
    [
        ("short", "full", False),
        (LONG.content, "digest", False),
        (LONG.content, "full", True),
        (f"{LONG.content} sk-{'Ab3dEf9hIj' * 5}", "full", False),
    ],
)
async def test_no_blob_is_named_where_none_may_be_or_none_is_needed(content, share, full):
    reasoning = dataclasses.replace(REASONING, content=content)
    keeper = Keeper(full=full)
    body, shown = await make_result_body(keeper, reasoning, share)
    assert not isinstance(RESULT_DECODER.decode(body), BlobResult)
    assert shown == ("full" if content == "short" else "digest")
    assert bool(keeper.kept) == full
