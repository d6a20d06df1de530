"""Few newcomers of one block of addresses are let into an open network, and of all not too many."""

from __future__ import annotations

import pytest

from meshnode.core.newcomer_blocks import BLOCK_MAX, BLOCKS_MAX, HOUR_MS, NewcomerBlocks

NOW_MS = 1_700_000_000_000


def locate(block: int, host: int = 1) -> str:
    return f"/ip4/{66 + block // 256}.{block % 256}.{host}.1/tcp/4001"


def test_few_come_from_one_block_within_an_hour():
    blocks = NewcomerBlocks(0)
    let_in = [blocks.let_in(NOW_MS, locate(1, host)) for host in range(BLOCK_MAX + 2)]
    assert let_in == [True] * BLOCK_MAX + [False] * 2
    assert blocks.let_in(NOW_MS, locate(2))
    assert not blocks.let_in(NOW_MS + HOUR_MS // BLOCK_MAX - 1, locate(1))
    assert blocks.let_in(NOW_MS + HOUR_MS // BLOCK_MAX, locate(1))
    assert not blocks.let_in(NOW_MS + HOUR_MS // BLOCK_MAX, locate(1))


def test_few_come_from_one_network_of_the_newer_protocol():
    blocks = NewcomerBlocks(0)
    near = [
        blocks.let_in(NOW_MS, f"/ip6/2a00:1:{host:x}::1/tcp/1") for host in range(BLOCK_MAX + 1)
    ]
    assert near == [True] * BLOCK_MAX + [False]
    assert blocks.let_in(NOW_MS, "/ip6/2a00:2::1/tcp/1")


def test_laboratories_have_no_blocks():
    blocks = NewcomerBlocks(0)
    assert all(blocks.let_in(NOW_MS, "/ip4/192.168.1.1/tcp/1") for _ in range(100))


@pytest.mark.parametrize(("joins", "count"), [(1, 32), (16, 32), (20, 40)])
def test_twice_as_many_come_as_the_network_takes_in(joins: int, count: int):
    blocks = NewcomerBlocks(joins)
    let_in = [blocks.let_in(NOW_MS, locate(block)) for block in range(count + 1)]
    assert let_in == [True] * count + [False]
    assert blocks.let_in(NOW_MS + HOUR_MS // count, locate(count))


def test_block_that_was_refused_leaves_room_to_others():
    blocks = NewcomerBlocks(1)
    for host in range(50):
        blocks.let_in(NOW_MS, locate(1, host))
    assert blocks.let_in(NOW_MS, locate(2))


def test_number_of_remembered_blocks_is_bounded():
    blocks = NewcomerBlocks(0)
    for host in range(BLOCK_MAX):
        blocks.let_in(NOW_MS, locate(0, host))
    for block in range(1, BLOCKS_MAX + 1):
        blocks.let_in(NOW_MS, locate(block))
    assert blocks.let_in(NOW_MS, locate(0))
