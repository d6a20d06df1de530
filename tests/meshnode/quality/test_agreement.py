"""What two answers have in common."""

from __future__ import annotations

import pytest

from meshnode.quality.agreement import compute_agreement_bp


@pytest.mark.parametrize(
    ("first", "second", "share_bp"),
    [
        ("Paris is the capital.", "paris IS the capital", 10_000),
        ("Paris", "Rome", 0),
        ("", "", 10_000),
        ("", "Paris", 0),
        ("it is Paris", "it is Rome", 5_000),
    ],
)
def test_agreement_counts_pairs_of_words(first, second, share_bp):
    assert compute_agreement_bp(first, second) == share_bp
    assert compute_agreement_bp(second, first) == share_bp
