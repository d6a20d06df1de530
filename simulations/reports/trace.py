"""Writes down what happens, one row per event: a table for any tool that reads columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from meshnode.core.events import Event, Published, VertexAdmitted
from simulations.network import ARRIVAL
from simulations.observers import Observer
from simulations.reports.contents import describe
from simulations.reports.tables import Table

if TYPE_CHECKING:
    from simulations.host import Host
    from simulations.world import World

ROWS_MAX: Final = 500_000
NOBODY: Final = -1
COLUMNS: Final = ("t_ns", "seq", "kind", "src", "dst", "name", "size_bytes", "carries", "vertex")


class Trace(Observer):
    """The events of one run: `sent`, `arrived`, `published`, `admitted`, `started`, `crashed`."""

    def __init__(
        self, *, rows_max: int = ROWS_MAX, start_ms: int = 0, end_ms: int | None = None
    ) -> None:
        """Record a window of virtual time, at most so many rows."""
        self.left_out = 0
        """Events of the window beyond the last row."""
        self._rows_max = rows_max
        self._start_ns = start_ms * 1_000_000
        self._end_ns = None if end_ms is None else end_ms * 1_000_000
        self._columns: dict[str, list[int | str]] = {name: [] for name in COLUMNS}
        self._world: World | None = None

    @property
    def table(self) -> Table:
        """What was recorded; `vertex` is the first that a message carries, -1 stands for nobody."""
        return Table("trace", self._columns)

    def on_added(self, world: World) -> None:
        """See `Observer`."""
        self._world = world

    def on_launched(
        self, source: int, target: int, message: Any, size_bytes: int, arrival_ns: int
    ) -> None:
        """See `Observer`."""
        del arrival_ns
        self._write("sent", source, target, message, size_bytes)

    def on_event(self, target: int, kind: int, payload: Any) -> None:
        """See `Observer`."""
        if kind == ARRIVAL and target >= 0:
            self._write("arrived", payload[0], target, payload[1], 0)

    def on_fact(self, host: Host, event: Event) -> None:
        """See `Observer`."""
        if isinstance(event, Published | VertexAdmitted):
            kind = "published" if isinstance(event, Published) else "admitted"
            signed = event.signed
            self._append(kind, NOBODY, host.index, "", len(signed.wire), 1, signed.id.hex())

    def on_started(self, host: Host) -> None:
        """See `Observer`."""
        self._append("started", NOBODY, host.index, host.identity.name, 0, 0, "")

    def on_crashed(self, host: Host) -> None:
        """See `Observer`."""
        self._append("crashed", NOBODY, host.index, host.identity.name, 0, 0, "")

    def _write(self, kind: str, source: int, target: int, message: Any, size_bytes: int) -> None:
        if self._takes():
            name, items = describe(message)
            first = items[0] if items else ""
            self._append(kind, source, target, name, size_bytes, len(items), first)

    def _takes(self) -> bool:
        assert self._world is not None, "an observer has a world"
        now_ns = self._world.kernel.now_ns
        if now_ns < self._start_ns or (self._end_ns is not None and now_ns > self._end_ns):
            return False
        if len(self._columns["t_ns"]) >= self._rows_max:
            self.left_out += 1
            return False
        return True

    def _append(self, *cells: int | str) -> None:
        if self._takes():
            assert self._world is not None, "an observer has a world"
            kernel = self._world.kernel
            row = (kernel.now_ns, kernel.events, *cells)
            for name, cell in zip(COLUMNS, row, strict=True):
                self._columns[name].append(cell)
