"""How much each client may ask for: requests a minute, questions at once, ruv a day.

The owner is bounded only by what this process can carry. What a key spends is counted from what an
answer may cost at most, and corrected to what it did cost.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import msgspec

from market.decimals import format_ruv
from meshnode.errors import StorageError
from meshnode.gateway.refusals import SpendingExceeded, TooManyRequests
from meshnode.private_files import read_private, write_private

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from meshnode.gateway.access import Caller

QUESTIONS_MAX: Final = 1_024
"""Questions of all clients at once."""
SPENT_FILE: Final = "api_spent.json"
_SPENT_BYTES_MAX: Final = 64_000
_MINUTE_S: Final = 60.0
_DAY_S: Final = 86_400


class _Spent(msgspec.Struct, forbid_unknown_fields=True):
    """What keys have spent on one day."""

    day: int = 0
    """Days since 1970, UTC."""
    uruv: dict[str, int] = {}
    """By key."""


class _Bucket:
    """So many requests a minute: as many at once, then evenly."""

    __slots__ = ("_at_s", "_left", "_per_min")

    def __init__(self, per_min: int, now_s: float) -> None:
        self._per_min = per_min
        self._left = float(per_min)
        self._at_s = now_s

    def take(self, per_min: int, now_s: float) -> float:
        """Take one; 0, or how many seconds are missing."""
        self._per_min = per_min
        gained = (now_s - self._at_s) * per_min / _MINUTE_S
        self._left = min(float(per_min), self._left + gained)
        self._at_s = now_s
        if self._left >= 1:
            self._left -= 1
            return 0.0
        return (1 - self._left) * _MINUTE_S / per_min


class Hold:
    """A question under way; `settle` says what it did cost, `release` that its client has it."""

    __slots__ = ("_leave", "cost_uruv")

    def __init__(self, reserved_uruv: int, leave: Callable[[], None] | None = None) -> None:
        self.cost_uruv = reserved_uruv
        self._leave = leave

    def release(self) -> None:
        """Make room for the next question; harmless twice."""
        leave, self._leave = self._leave, None
        if leave is not None:
            leave()

    def settle(self, cost_uruv: int) -> None:
        """The answer is there, and this was its price."""
        self.cost_uruv = cost_uruv


class Limits:
    """Counts what callers do."""

    def __init__(
        self,
        home: Path | None,
        *,
        read_clock_s: Callable[[], float] = time.monotonic,
        read_time_s: Callable[[], float] = time.time,
    ) -> None:
        """What was spent today is kept in the home folder, so that a restart forgets nothing."""
        self._home = home
        self._read_clock_s = read_clock_s
        self._read_time_s = read_time_s
        self._buckets: dict[str, _Bucket] = {}
        self._running: dict[str, int] = {}
        self._total = 0
        self._spent: _Spent | None = None

    @property
    def questions(self) -> int:
        """Questions under way."""
        return self._total

    def count(self, caller: Caller) -> None:
        """A request came in. Raises `TooManyRequests` where there were too many in the last minute."""
        key = caller.key
        if key is None or key.requests_per_min is None:
            return
        now_s = self._read_clock_s()
        bucket = self._buckets.get(key.id)
        if bucket is None:
            bucket = self._buckets[key.id] = _Bucket(key.requests_per_min, now_s)
        missing_s = bucket.take(key.requests_per_min, now_s)
        if missing_s:
            raise TooManyRequests(
                f"this key may send {key.requests_per_min} requests a minute",
                retry_after_s=max(1, round(missing_s + 0.5)),
            )

    @contextmanager
    def hold(self, caller: Caller, spend_uruv: int = 0) -> Iterator[Hold]:
        """A question under way, which may cost so much. Raises `Refusal`s."""
        self._check_room(caller)
        hold = Hold(self._reserve(caller, spend_uruv), lambda: self._leave(caller.id))
        self._total += 1
        self._running[caller.id] = self._running.get(caller.id, 0) + 1
        try:
            yield hold
        finally:
            hold.release()
            if spend_uruv and not caller.is_owner:
                self._correct(caller, spend_uruv, hold.cost_uruv)

    def _leave(self, caller_id: str) -> None:
        self._total -= 1
        self._running[caller_id] -= 1
        if not self._running[caller_id]:
            del self._running[caller_id]

    def _check_room(self, caller: Caller) -> None:
        if self._total >= QUESTIONS_MAX:
            raise TooManyRequests(
                f"{QUESTIONS_MAX} questions are under way at this node",
                retry_after_s=1,
            )
        key = caller.key
        if key is None or key.concurrent is None:
            return
        if self._running.get(key.id, 0) >= key.concurrent:
            raise TooManyRequests(
                f"this key may have {key.concurrent} questions under way",
                retry_after_s=1,
            )

    def _reserve(self, caller: Caller, spend_uruv: int) -> int:
        key = caller.key
        if key is None or not spend_uruv:
            return spend_uruv
        spent = self._get_spent()
        left_uruv = key.day_uruv - spent.uruv.get(key.id, 0)
        if spend_uruv > left_uruv:
            raise SpendingExceeded(
                f"this key has {format_ruv(max(0, left_uruv))} ruv left today, and the answer "
                f"may cost {format_ruv(spend_uruv)}",
                hint="lower max_ruv, or make a key that may spend more",
            )
        spent.uruv[key.id] = spent.uruv.get(key.id, 0) + spend_uruv
        self._write()
        return spend_uruv

    def _correct(self, caller: Caller, reserved_uruv: int, cost_uruv: int) -> None:
        spent = self._get_spent()
        before = spent.uruv.get(caller.id, 0)
        spent.uruv[caller.id] = max(0, before + cost_uruv - reserved_uruv)
        self._write()

    def _get_spent(self) -> _Spent:
        today = int(self._read_time_s()) // _DAY_S
        if self._spent is None:
            self._spent = self._read()
        if self._spent.day != today:
            self._spent = _Spent(today, {})
        return self._spent

    def _read(self) -> _Spent:
        if self._home is None:
            return _Spent()
        path = self._home / SPENT_FILE
        try:
            data = read_private(path, bytes_max=_SPENT_BYTES_MAX)
            return _Spent() if data is None else msgspec.json.decode(data, type=_Spent)
        except (msgspec.DecodeError, ValueError, RecursionError):
            raise StorageError(
                f"{path} is damaged, so what keys have spent today is not known",
                hint="remove it to begin the day anew",
            ) from None

    def _write(self) -> None:
        if self._home is not None and self._spent is not None:
            write_private(self._home / SPENT_FILE, msgspec.json.encode(self._spent))
