"""The stream is a function of its seed, and its jitter stays in bounds."""

from __future__ import annotations

import pytest

from meshnode.core.entropy import Entropy


def test_stream_repeats_for_a_seed_and_never_within():
    one, other = Entropy(bytes(32)), Entropy(bytes(32))
    blocks = [one.draw() for _ in range(100)]
    assert blocks == [other.draw() for _ in range(100)]
    assert len(set(blocks)) == 100
    assert Entropy(bytes([1]) * 32).draw() not in blocks


def test_jitter_stays_within_a_fifth():
    entropy = Entropy(bytes(32))
    values = [entropy.jitter(1_000) for _ in range(1_000)]
    assert min(values) >= 800
    assert max(values) <= 1_200
    assert min(values) < 820
    assert max(values) > 1_180


def test_seed_of_another_size_is_refused():
    with pytest.raises(ValueError, match="32 bytes"):
        Entropy(b"short")
