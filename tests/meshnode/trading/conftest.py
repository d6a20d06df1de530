"""Traders of one market."""

from __future__ import annotations

import pytest

from tests.support.trading_net import trading_net


@pytest.fixture
async def net(tmp_path):
    async with trading_net(tmp_path) as trading:
        yield trading
