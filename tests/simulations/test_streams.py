"""Streams are apart from each other and the same everywhere."""

from __future__ import annotations

from simulations.streams import Streams, derive_seed


def test_a_label_is_one_stream():
    streams = Streams(1)
    assert streams.get("net") is streams.get("net")
    assert Streams(1).get("net").random() == Streams(1).get("net").random()


def test_streams_differ_by_label_and_by_seed():
    draws = [Streams(seed).get(label).random() for seed in (0, 1, -1) for label in ("a", "b")]
    assert len(dict.fromkeys(draws)) == 6


def test_a_draw_in_one_stream_leaves_the_others_alone():
    streams, other = Streams(5), Streams(5)
    streams.get("a").random()
    assert streams.get("b").random() == other.get("b").random()


def test_seeds_are_fixed_for_ever():
    assert derive_seed(7, "network").hex()[:16] == "bef16254d41d1684"
    assert len(derive_seed(2**300, "x")) == 32
    assert Streams(7).derive("network") == derive_seed(7, "network")
