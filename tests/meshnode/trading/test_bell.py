"""Waiting for something to change."""

from __future__ import annotations

import asyncio

from meshnode.trading.bell import Bell


async def test_bell_wakes_who_waits():
    bell = Bell()
    waiting = [asyncio.create_task(bell.wait(timeout_ms=5_000)) for _ in range(2)]
    await asyncio.sleep(0)
    bell.ring()
    assert await asyncio.gather(*waiting) == [True, True]
    assert bell.rings == 1


async def test_wait_ends_with_its_time():
    assert not await Bell().wait(timeout_ms=1)


async def test_wait_for_answers_what_is_there_already():
    assert await Bell().wait_for(lambda: 7, timeout_ms=1) == 7


async def test_wait_for_looks_again_when_it_rings():
    bell = Bell()
    found: list[str] = []
    waiting = asyncio.create_task(
        bell.wait_for(lambda: found[0] if found else None, timeout_ms=5_000)
    )
    await asyncio.sleep(0)
    bell.ring()
    await asyncio.sleep(0)
    found.append("it")
    bell.ring()
    assert await waiting == "it"


async def test_wait_for_looks_once_more_when_time_is_over():
    looks = iter([None, "late"])
    assert await Bell().wait_for(lambda: next(looks), timeout_ms=1) == "late"
