"""Trio inside asyncio: one run per loop, results and errors both ways, nothing left over."""

from __future__ import annotations

import asyncio
import signal
import threading

import pytest
import trio

from meshnode.errors import TransportError
from meshnode.transport.libp2p import guest as guest_module
from meshnode.transport.libp2p.guest import TrioGuest


async def test_users_of_one_loop_share_one_run_and_the_last_ends_it():
    one, other = await TrioGuest.acquire(), await TrioGuest.acquire()
    assert one is other
    await one.release()
    await other.run(trio.sleep, 0)
    await other.release()
    again = await TrioGuest.acquire()
    assert again is not one
    await again.release()


async def test_run_returns_results_and_raises_errors():
    async def add(one, other):
        await trio.lowlevel.checkpoint()
        return one + other

    async def fail():
        await trio.lowlevel.checkpoint()
        raise KeyError("no")

    guest = await TrioGuest.acquire()
    assert await guest.run(add, 1, 2) == 3
    with pytest.raises(KeyError):
        await guest.run(fail)
    await guest.release()


async def test_run_cancels_the_trio_side_and_waits_for_it():
    steps = []
    started = asyncio.Event()

    async def work():
        started.set()
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.lowlevel.checkpoint()
            steps.append("cleaned up")

    guest = await TrioGuest.acquire()
    task = asyncio.create_task(guest.run(work))
    await asyncio.wait_for(started.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert steps == ["cleaned up"]
    await guest.release()


async def test_trio_events_can_be_set_from_asyncio_and_back():
    there, back = trio.Event(), asyncio.Event()

    async def relay():
        await there.wait()
        back.set()

    guest = await TrioGuest.acquire()
    guest.start_soon(relay)
    await asyncio.sleep(0)
    there.set()
    await asyncio.wait_for(back.wait(), 5)
    await guest.release()


def test_interrupts_stay_with_the_program():
    """Also where Python's default handler is in place, as in a notebook's loop."""

    async def scenario():
        guest = await TrioGuest.acquire()
        during = signal.getsignal(signal.SIGINT)
        await guest.release()
        return during

    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(scenario()) is signal.default_int_handler
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    loop.close()
    with pytest.raises(KeyboardInterrupt):
        guest_module._interrupt(signal.SIGINT, None)


def test_another_thread_has_a_run_of_its_own():
    async def scenario():
        guest = await TrioGuest.acquire()
        await guest.run(trio.sleep, 0)
        await guest.release()

    failures = []

    def work():
        try:
            asyncio.run(scenario())
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    assert failures == []


async def test_a_thread_that_runs_trio_already_is_refused(monkeypatch):
    guest = await TrioGuest.acquire()
    monkeypatch.setattr(guest_module, "_guests", {})
    with pytest.raises(TransportError, match="already runs trio"):
        await TrioGuest.acquire()
    monkeypatch.undo()
    await guest.release()


async def test_a_task_that_fails_is_reported():
    loop = asyncio.get_running_loop()
    reported = loop.create_future()
    loop.set_exception_handler(lambda _, report: reported.set_result(report))

    async def fail():
        raise KeyError("a bug")

    guest = await TrioGuest.acquire()
    guest.start_soon(fail)
    assert (await asyncio.wait_for(reported, 5))["message"] == "the trio run failed"
    await guest.release()
