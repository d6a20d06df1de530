"""The gate in front of an engine, most of all where two things happen in one tick."""

from __future__ import annotations

import asyncio

import pytest

from meshnode.engines.base import EngineError, EngineFault
from meshnode.engines.slots import SlotGate


def make_gate(**options) -> SlotGate:
    return SlotGate("test", **({"slots": 1, "waiting_max": 8} | options))


async def enter(gate: SlotGate) -> asyncio.Task[None]:
    """A task that waits at the gate."""
    task = asyncio.create_task(gate.acquire())
    await asyncio.sleep(0)
    return task


async def test_gate_serves_waiting_requests_in_order():
    gate = make_gate()
    await gate.acquire()
    first, second = await enter(gate), await enter(gate)
    gate.release()
    await first
    assert not second.done()
    gate.release()
    await second


async def test_gate_skips_a_request_that_gave_up_waiting():
    gate = make_gate()
    await gate.acquire()
    first, second = await enter(gate), await enter(gate)
    first.cancel()
    await asyncio.wait([first])
    gate.release()
    await second


async def test_gate_skips_a_request_cancelled_in_the_tick_of_the_release():
    gate = make_gate()
    await gate.acquire()
    first, second = await enter(gate), await enter(gate)
    first.cancel()
    gate.release()
    await second
    assert first.cancelled()


async def test_gate_passes_a_slot_on_when_cancelled_right_after_getting_it():
    gate = make_gate()
    await gate.acquire()
    first, second = await enter(gate), await enter(gate)
    gate.release()
    first.cancel()
    await second
    assert first.cancelled()


async def test_gate_refuses_waiting_and_new_requests_when_closed():
    gate = make_gate()
    await gate.acquire()
    waiting = await enter(gate)
    gate.close()
    for late in (waiting, gate.acquire()):
        with pytest.raises(EngineError) as caught:
            await late
        assert caught.value.fault is EngineFault.UNREACHABLE


async def test_gate_refuses_a_request_when_closed_between_its_turn_and_its_start():
    gate = make_gate()
    await gate.acquire()
    waiting = await enter(gate)
    gate.release()
    gate.close()
    with pytest.raises(EngineError):
        await waiting


async def test_gate_close_passes_over_a_request_that_gave_up():
    gate = make_gate()
    await gate.acquire()
    waiting = await enter(gate)
    waiting.cancel()
    gate.close()
    await asyncio.wait([waiting])
    assert waiting.cancelled()


async def test_request_cancelled_while_the_gate_closes_stays_cancelled():
    gate = make_gate()
    await gate.acquire()
    waiting = await enter(gate)
    gate.close()
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()


async def test_gate_gives_its_slot_back_when_the_block_fails():
    gate = make_gate(waiting_max=0)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            async with gate.slot():
                raise ZeroDivisionError


async def test_pause_ends_at_once_when_the_gate_closes():
    gate = make_gate()
    pause = asyncio.create_task(gate.pause(60_000))
    await asyncio.sleep(0)
    gate.close()
    async with asyncio.timeout(10):
        with pytest.raises(EngineError):
            await pause


async def test_pause_returns_when_its_time_is_over():
    await make_gate().pause(0)
