"""Sentences about a block under test are read, or fail: nothing passes by not being understood."""

from __future__ import annotations

import pytest

from consensus.conformance_validity import play_validity
from consensus.notation import InvalidCase


def passes(text: str, expect: str) -> bool:
    pairs = list(play_validity({"parents_or_change": text, "expect": expect}))
    assert pairs
    return all(expected == got for expected, got in pairs)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("all four round-5 blocks, own first", "accept"),
        ("own parent is 1.2, the others at round 5", "accept"),
        ("own, 2.5 and 3.5", "accept"),
        ("own, 2.5 and 3.4", "reject"),
        ("a parent by author index 255", "reject"),
        ("the author is outside the committee", "reject"),
        ("two parents of author 3: 3.4", "reject"),
        ("two blocks of one author, both twins", "reject"),
        ("parent rejected before", "reject"),
        ("wrong epoch", "reject"),
        ("epoch 9", "hold"),
        ("own and two others of round 5", "accept"),
        ("exactly three blocks of round 5", "valid"),
        ("only two of round 5", "reject"),
        ("parent 0.6", "invalid"),
        ("timestamp before its parents'", "accept"),
        ("a parent below the horizon", "accept"),
        ("round at the horizon", "drop"),
        ("the same block offered again", "ignore"),
        ("a parent never seen", "wait"),
    ],
)
def test_sentence_is_read(text: str, verdict: str):
    assert passes(text, verdict)
    opposite = "reject" if verdict in {"accept", "valid"} else "accept"
    assert not passes(text, opposite)


def test_epoch_to_come_is_not_accepted_now():
    assert passes("epoch 8", "reject")
    assert passes("epoch 8", "hold")
    assert not passes("epoch 8", "accept")


@pytest.mark.parametrize(
    ("text", "expect"), [("something else altogether", "accept"), ("no parents", "who knows")]
)
def test_sentence_that_is_not_understood_fails(text: str, expect: str):
    with pytest.raises(InvalidCase, match="not understood"):
        passes(text, expect)
