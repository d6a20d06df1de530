"""Blocks that came before their epoch: none is lost in peace, and a flood displaces only itself."""

from __future__ import annotations

import pytest

from dag.identity import VerifiedVertex
from meshnode.core import early_blocks
from meshnode.core.early_blocks import EarlyBlocks
from tests.support.dag_builder import DagBuilder


def make_blocks(authors: int, count: int) -> list[VerifiedVertex]:
    """Blocks of authors in turn."""
    builder = DagBuilder(authors).profiles()
    return [builder.block(n % authors, [], body=b"%d" % n) for n in range(authors * count)]


def test_blocks_are_given_back_as_they_were_admitted_and_once():
    early = EarlyBlocks()
    blocks = make_blocks(3, 4)
    for block in blocks:
        early.add(block)
    assert len(early) == len(blocks)
    assert blocks[0].vertex.author in early
    assert early.take() == blocks
    assert early.take() == []
    assert blocks[0].vertex.author not in early


def test_a_flood_displaces_the_newest_of_whoever_sent_most(monkeypatch: pytest.MonkeyPatch):
    builder = DagBuilder(2).profiles()
    honest = [builder.block(0, [], body=b"%d" % n) for n in range(3)]
    flood = [builder.block(1, [], body=b"%02d" % n) for n in range(20)]
    room = sum(len(block.wire) for block in (*honest, *flood[:5]))
    monkeypatch.setattr(early_blocks, "EARLY_BYTES_MAX", room)
    early = EarlyBlocks()
    for block in (*flood[:10], *honest, *flood[10:]):
        early.add(block)
    kept = early.take()
    assert [block for block in kept if block in honest] == honest
    assert [block for block in kept if block in flood] == flood[:5]


def test_a_block_without_any_room_is_known_to_have_come(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(early_blocks, "EARLY_BYTES_MAX", 10)
    early = EarlyBlocks()
    (block,) = make_blocks(1, 1)
    early.add(block)
    assert len(early) == 0
    assert block.vertex.author in early
    assert early.take() == []
    assert block.vertex.author not in early
