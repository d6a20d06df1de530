"""One trio run as a guest of one asyncio loop, shared by all transports of that loop.

py-libp2p is written for trio. In guest mode trio's scheduler runs as callbacks of the asyncio
loop, in the same thread: both worlds may touch the same objects without locks, and events of
either may be set from the other. A thread can hold only one trio run, hence the sharing.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

import trio

from meshnode.errors import TransportError
from meshnode.transport.libp2p.guest_driver import GuestDriver

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import FrameType

    import outcome

T = TypeVar("T")

_guests: WeakKeyDictionary[asyncio.AbstractEventLoop, TrioGuest] = WeakKeyDictionary()


class TrioGuest:
    """A running trio scheduler; get it with `acquire`, give it back with `release`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._users = 0
        self._stop = trio.Event()
        self._finished: asyncio.Future[None] = loop.create_future()
        self._nursery: trio.Nursery | None = None
        self._ready: asyncio.Future[None] = loop.create_future()

    @classmethod
    async def acquire(cls) -> TrioGuest:
        """The trio run of the current loop, started when there is none."""
        loop = asyncio.get_running_loop()
        guest = _guests.get(loop)
        if guest is None:
            guest = cls(loop)
            guest._start()
            _guests[loop] = guest
        guest._users += 1
        await asyncio.shield(guest._ready)
        return guest

    async def release(self) -> None:
        """Give the run back; the last user stops it and waits until nothing of it is left."""
        self._users -= 1
        if self._users:
            return
        del _guests[self._loop]
        self._stop.set()
        await asyncio.shield(self._finished)

    async def run(self, async_fn: Callable[..., Awaitable[T]], *args: object) -> T:
        """Run a trio function to its end; cancelling the caller cancels it and waits for it."""
        assert self._nursery is not None, "acquire waits for the nursery"
        result: asyncio.Future[T] = self._loop.create_future()
        scope = trio.CancelScope()
        self._nursery.start_soon(self._call, scope, result, async_fn, args)
        try:
            return await asyncio.shield(result)
        except asyncio.CancelledError:
            scope.cancel()
            await asyncio.wait([result])
            raise

    def start_soon(self, async_fn: Callable[..., Awaitable[None]], *args: object) -> None:
        """Start a trio task; an exception of it would end the run, so it must not raise any."""
        assert self._nursery is not None, "acquire waits for the nursery"
        self._nursery.start_soon(async_fn, *args)

    @staticmethod
    async def _call(
        scope: trio.CancelScope,
        result: asyncio.Future[T],
        async_fn: Callable[..., Awaitable[T]],
        args: tuple[object, ...],
    ) -> None:
        try:
            with scope:
                value = await async_fn(*args)
                result.set_result(value)
        except Exception as error:  # noqa: BLE001 - handed over whole to the asyncio caller
            result.set_exception(error)
        finally:
            if not result.done():
                result.cancel()

    def _start(self) -> None:
        with _sigint_left_alone():
            try:
                trio.lowlevel.start_guest_run(
                    self._main,
                    run_sync_soon_threadsafe=self._soon_threadsafe,
                    run_sync_soon_not_threadsafe=GuestDriver(self._loop).soon,
                    host_uses_signal_set_wakeup_fd=True,
                    restrict_keyboard_interrupt_to_checkpoints=True,
                    done_callback=self._done,
                )
            except RuntimeError as error:
                raise TransportError(
                    "this thread already runs trio", hint="run the node in a thread of its own"
                ) from error

    def _soon_threadsafe(self, callback: Callable[[], object]) -> None:
        self._loop.call_soon_threadsafe(callback)

    async def _main(self) -> None:
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            self._ready.set_result(None)
            await self._stop.wait()
            nursery.cancel_scope.cancel()

    def _done(self, run_outcome: outcome.Outcome[None]) -> None:
        self._finished.set_result(None)
        try:
            run_outcome.unwrap()
        except BaseException as error:  # noqa: BLE001 - a fault of the run itself: report it
            self._loop.call_exception_handler(
                {"message": "the trio run failed", "exception": error}
            )


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextmanager
def _sigint_left_alone() -> Iterator[None]:
    """Keep trio from taking over SIGINT, which belongs to the program around it.

    Trio installs its own handler when it finds Python's default one. It looks once, when the run
    starts.
    """
    is_default = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if is_default:
        signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        if is_default:
            signal.signal(signal.SIGINT, signal.default_int_handler)
