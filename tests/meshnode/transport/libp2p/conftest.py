"""The scene of hardening tests, which leaves no task behind."""

from __future__ import annotations

import asyncio

import pytest_asyncio

from meshnode.transport.libp2p.guest import TrioGuest
from tests.support.libp2p_scene import Scene
from tests.support.transports import Lab


@pytest_asyncio.fixture
async def scene():
    lab = Lab("libp2p")
    guest = await TrioGuest.acquire()
    yield Scene(lab, guest)
    await lab.close()
    await guest.release()
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
