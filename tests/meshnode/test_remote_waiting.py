"""Waiting for the peers of a node in another process."""

from __future__ import annotations

import pytest

from meshnode.client import connect
from meshnode.errors import DeadlineExceeded
from tests.support.fake_node import STATUS, open_gateway
from tests.support.views import make_status


async def test_node_waits_until_enough_peers_are_ready(tmp_path, monkeypatch):
    async with open_gateway(tmp_path) as (host, _), connect(tmp_path) as node:
        counts = iter((0, 1, 2))

        async def count_up():
            return make_status(name="ada", engine=None, members=3, peers_ready=next(counts))

        monkeypatch.setattr(host.node, "status", count_up)
        await node.wait_for_peers(2, timeout_ms=60_000)
        assert next(counts, None) is None


async def test_node_says_how_many_peers_there_were_when_time_is_over(tmp_path):
    async with open_gateway(tmp_path), connect(tmp_path) as node:
        await node.wait_for_peers(STATUS.peers_ready, timeout_ms=60_000)
        with pytest.raises(DeadlineExceeded, match="0 of 1 peers were ready within 1 ms"):
            await node.wait_for_peers(timeout_ms=1)
