"""Trio's scheduler driven by the asyncio loop alone, without the thread that guest mode waits in.

In guest mode trio waits for its sockets in a worker thread: each time it runs out of work it hands
its wait to the thread, and each packet wakes the thread, which wakes the loop. With small messages
those hand-overs cost more than the messages. Trio's sockets wait in an epoll object, which can be
waited on like any socket, so the asyncio loop can watch it itself.

This touches names inside trio that no release promises to keep. `find_epoll` looks whether they are
there; where they are not, or the system has no epoll, guest mode runs as trio wrote it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import sniffio
from outcome import Value, capture
from trio import TrioInternalError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

TICKS_MAX: Final = 16
"""Turns of trio's scheduler in one turn of the loop; asyncio's own tasks must not wait for long."""


def find_epoll(guest_state: object) -> Any:
    """The epoll object behind a guest run, None where it cannot be driven from here."""
    runner = getattr(guest_state, "runner", None)
    names = ("unrolled_run_gen", "unrolled_run_next_send", "done_callback")
    epoll = getattr(getattr(runner, "io_manager", None), "_epoll", None)
    known = all(hasattr(guest_state, name) for name in names)
    return epoll if known and hasattr(runner, "guest_tick_scheduled") else None


class GuestDriver:
    """Runs one guest; `soon` is what trio is given to schedule its ticks with."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._guest: Any = None
        self._epoll_fd = -1
        self._idle = False
        self._timer: asyncio.TimerHandle | None = None

    def soon(self, callback: Callable[[], object]) -> None:
        """Schedule a tick: the first one shows the guest, and from then on this class ticks."""
        guest = getattr(callback, "__self__", None)
        epoll = None if self._guest is not None else find_epoll(guest)
        if epoll is None:
            self._loop.call_soon(callback)
            return
        self._guest = guest
        self._epoll_fd = epoll.fileno()
        self._loop.add_reader(self._epoll_fd, self._wake)
        self._loop.call_soon(self._tick)

    def _tick(self) -> None:
        """As `GuestState.guest_tick`, several times, and with another way to wait."""
        guest = self._guest
        runner = guest.runner
        for _ in range(TICKS_MAX):
            outcome = self._step()
            if outcome is None:
                return
            events = capture(runner.io_manager.get_events, 0)
            if outcome > 0 and isinstance(events, Value) and not events.value:
                runner.guest_tick_scheduled = False
                self._idle = True
                self._arm(outcome)
                return
            guest.unrolled_run_next_send = events
            runner.guest_tick_scheduled = True
        self._loop.call_soon(self._tick)

    def _step(self) -> float | None:
        """One turn of trio's scheduler; how long it may wait afterwards, None when it is over."""
        guest = self._guest
        library = sniffio.thread_local
        outer, library.name = library.name, "trio"
        try:
            return float(guest.unrolled_run_next_send.send(guest.unrolled_run_gen))
        except StopIteration:
            self._close()
            guest.done_callback(guest.runner.main_task_outcome)
        except TrioInternalError as error:
            self._close()
            guest.done_callback(capture(_raise, error))
        finally:
            library.name = outer
        return None

    def _wake(self) -> None:
        """Sockets are ready, a trio task was woken from asyncio, or a deadline is due."""
        if not self._idle:
            return  # the tick that is scheduled will look
        self._idle = False
        guest = self._guest
        guest.unrolled_run_next_send = capture(guest.runner.io_manager.get_events, 0)
        guest.runner.guest_tick_scheduled = True
        self._tick()

    def _arm(self, timeout_s: float) -> None:
        """Wake at trio's next deadline; a timer that fires too early costs one empty tick."""
        if timeout_s == math.inf:
            return
        due_s = self._loop.time() + timeout_s
        if self._timer is not None:
            if self._timer.when() <= due_s:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(due_s, self._fire)

    def _fire(self) -> None:
        self._timer = None
        self._wake()

    def _close(self) -> None:
        self._loop.remove_reader(self._epoll_fd)
        if self._timer is not None:
            self._timer.cancel()


def _raise(error: BaseException) -> None:
    raise error
