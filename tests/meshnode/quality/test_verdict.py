"""What a comparison amounts to."""

from __future__ import annotations

import pytest

from market.amounts import BASIS_POINTS
from meshnode.quality.replay import Comparison
from meshnode.quality.verdict import COMPARED_MIN, REPLAY_METHOD, make_motion, make_verdict

DIGEST = b"m" * 32


@pytest.mark.parametrize(
    ("compared", "matched", "finding"),
    [
        (COMPARED_MIN - 1, 0, "open"),
        (100, 98, "genuine"),
        (100, 97, "open"),
        (100, 95, "open"),
        (100, 94, "substituted"),
    ],
)
def test_finding_follows_from_the_share(compared, matched, finding):
    assert make_verdict(Comparison(compared, matched), DIGEST).finding == finding


@pytest.mark.parametrize(
    ("matched", "provider_bp", "is_fraud"), [(100, BASIS_POINTS, False), (10, 0, True)]
)
def test_motion_says_the_numbers_of_the_verdict(matched, provider_bp, is_fraud):
    motion = make_motion(b"c" * 32, make_verdict(Comparison(100, matched), DIGEST))
    assert (motion.contract, motion.model_digest) == (b"c" * 32, DIGEST)
    assert (motion.compared, motion.matched, motion.method) == (100, matched, REPLAY_METHOD)
    assert (motion.provider_bp, motion.fraud) == (provider_bp, is_fraud)
