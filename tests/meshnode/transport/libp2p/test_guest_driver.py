"""Trio under the asyncio loop without a thread: sockets, deadlines, faults, and the way back."""

from __future__ import annotations

import asyncio
import select
import threading
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from outcome import Error, Value

from meshnode.transport.libp2p import guest_driver
from meshnode.transport.libp2p.guest import TrioGuest
from meshnode.transport.libp2p.guest_driver import GuestDriver, find_epoll


def get_trio_threads():
    return [thread for thread in threading.enumerate() if "Trio" in thread.name]


async def echo_over_tcp(rounds):
    async def echo(stream):
        async for data in stream:
            await stream.send_all(data)

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, echo, [listener])
        host, port = listener.socket.getsockname()
        async with await trio.open_tcp_stream(host, port) as stream:
            for number in range(rounds):
                await stream.send_all(b"%d" % number)
                assert await stream.receive_some() == b"%d" % number
                await trio.sleep(0.0005)
        nursery.cancel_scope.cancel()
    return rounds


async def test_sockets_and_deadlines_need_no_thread():
    before = get_trio_threads()
    guest = await TrioGuest.acquire()
    assert await guest.run(echo_over_tcp, 20) == 20
    assert get_trio_threads() == before
    await guest.release()


async def test_deadline_before_one_that_is_armed_comes_in_time():
    guest = await TrioGuest.acquire()
    loop = asyncio.get_running_loop()
    begin_s = loop.time()
    late = asyncio.create_task(guest.run(trio.sleep, 30))
    await asyncio.sleep(0.01)
    await guest.run(trio.sleep, 0.02)
    await guest.run(trio.sleep, 0.03)
    assert loop.time() - begin_s < 10
    late.cancel()
    with pytest.raises(asyncio.CancelledError):
        await late
    await guest.release()


async def test_much_to_do_in_trio_leaves_asyncio_its_turns():
    async def spin():
        for _ in range(1_000):
            await trio.lowlevel.checkpoint()

    guest = await TrioGuest.acquire()
    task = asyncio.create_task(guest.run(spin))
    turns = 0
    while not task.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 1_000 / guest_driver.TICKS_MAX / 2
    await guest.release()


async def test_guest_mode_runs_as_trio_wrote_it_where_it_cannot_be_driven(monkeypatch):
    monkeypatch.setattr(guest_driver, "find_epoll", lambda state: None)
    guest = await TrioGuest.acquire()
    assert await guest.run(echo_over_tcp, 3) == 3
    await guest.release()


def test_epoll_is_found_only_where_every_name_is_there():
    assert find_epoll(None) is None
    epoll = object()
    guest = SimpleNamespace(
        runner=SimpleNamespace(io_manager=SimpleNamespace(_epoll=epoll), guest_tick_scheduled=True),
        unrolled_run_gen=None,
        unrolled_run_next_send=None,
        done_callback=None,
    )
    assert find_epoll(guest) is epoll
    del guest.runner.guest_tick_scheduled
    assert find_epoll(guest) is None
    del guest.done_callback
    assert find_epoll(guest) is None


async def test_fault_of_trio_itself_ends_the_run_and_is_handed_over():
    def fail():
        yield 0.0
        yield 5.0
        raise trio.TrioInternalError("broken")

    class Guest(SimpleNamespace):
        def guest_tick(self):
            raise AssertionError("the driver ticks")

    outcomes: list[Any] = []
    with select.epoll() as epoll:
        guest = Guest(
            runner=SimpleNamespace(
                io_manager=SimpleNamespace(_epoll=epoll, get_events=lambda timeout: []),
                guest_tick_scheduled=True,
            ),
            unrolled_run_gen=fail(),
            unrolled_run_next_send=Value(None),
            done_callback=outcomes.append,
        )
        driver = GuestDriver(asyncio.get_running_loop())
        driver.soon(guest.guest_tick)
        for _ in range(3):
            await asyncio.sleep(0)
        driver._wake()
        driver._wake()
    (outcome,) = outcomes
    assert isinstance(outcome, Error)
    assert isinstance(outcome.error, trio.TrioInternalError)
