"""Snapshots as records: an empty one is a market in which nothing has happened."""

from __future__ import annotations

from dag.canonical import encode
from market.stores import SNAPSHOT_DECODER, compute_root, make_empty_snapshot


def test_empty_snapshot_is_read_back():
    assert SNAPSHOT_DECODER.decode(encode(make_empty_snapshot())) == make_empty_snapshot()


def test_root_fixes_head_and_parts():
    roots = {compute_root(head, parts) for head in (1, 2) for parts in ((), (b"a",), (b"a", b"b"))}
    assert len(roots) == 6
