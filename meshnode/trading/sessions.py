"""Which contracts have a stream now, and since when the others have none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshnode.trading.bell import Bell


class Sessions:
    """The streams of this node under its contracts, as both roles report them."""

    def __init__(self, bell: Bell, read_clock_ms: Callable[[], int]) -> None:
        self.bell: Final = bell
        self._read_clock_ms = read_clock_ms
        self._live: dict[bytes, int] = {}
        self._released: dict[bytes, None] = {}
        self._changed_ms: dict[bytes, int] = {}

    def begin(self, contract: bytes) -> None:
        """A stream begins."""
        self._live[contract] = self._changed_ms[contract] = self._read_clock_ms()

    def end(self, contract: bytes) -> None:
        """It is over, however it ended; nothing more is asked for under this contract."""
        self._live.pop(contract, None)
        self.release(contract)

    def release(self, contract: bytes) -> None:
        """Nothing will be asked for under this contract."""
        self._released[contract] = None
        self._changed_ms[contract] = self._read_clock_ms()
        self.bell.ring()

    def note_posted(self, contract: bytes) -> None:
        """A receipt is on its way to the market."""
        self._changed_ms[contract] = self._read_clock_ms()

    @property
    def any_live(self) -> bool:
        """Whether any stream runs."""
        return bool(self._live)

    def is_live(self, contract: bytes) -> bool:
        """Whether a stream runs under a contract."""
        return contract in self._live

    def is_released(self, contract: bytes) -> bool:
        """Whether none will."""
        return contract in self._released

    def count_quiet_ms(self, contract: bytes) -> int:
        """Since its last change, or since it was looked at first."""
        now_ms = self._read_clock_ms()
        return now_ms - self._changed_ms.setdefault(contract, now_ms)

    def keep(self, contracts: dict[bytes, None]) -> None:
        """Forget all contracts but these."""
        for table in (self._released, self._changed_ms):
            for contract in [each for each in table if each not in contracts]:
                if contract not in self._live:
                    del table[contract]
