"""Transcripts: equal roots mean equal bytes, and nobody guesses what a root stands for."""

from __future__ import annotations

import pytest

from market.transcript import Transcript

ONES, TWOS = bytes([1]) * 32, bytes([2]) * 32


def make_root(*pieces: bytes, network: bytes = ONES, contract: bytes = ONES, salt: bytes = ONES):
    transcript = Transcript(network, contract, salt)
    for piece in pieces:
        transcript.extend(piece)
    return transcript.root


def test_transcript_has_one_root_for_the_same_pieces():
    assert make_root(b"question", b"answer") == make_root(b"question", b"answer")
    assert len(make_root()) == 32


@pytest.mark.parametrize("changed", ["network", "contract", "salt"])
def test_transcript_has_another_root_in_another_place(changed: str):
    assert make_root(b"question", **{changed: TWOS}) != make_root(b"question")


@pytest.mark.parametrize(
    "pieces",
    [(), (b"a",), (b"ab",), (b"b", b"a"), (b"a", b"b", b""), (b"", b"a", b"b")],
)
def test_transcript_has_another_root_for_other_pieces(pieces: tuple[bytes, ...]):
    assert make_root(*pieces) != make_root(b"a", b"b")
