"""A log of one run with a column per node: the cheapest view of what led to a failure.

    time ms |  0    1    2    3   |
    812.301 |  .    P3f  .    .   | node-1 publishes 3f81c2aa
    840.122 |  .    .    x    .   | node-2 crashes

A column shows what its node does in this line, or else the state it is in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from meshnode.core.events import (
    Alone,
    Event,
    ForkSeen,
    OffenceSeen,
    PeerLost,
    PeerReady,
    Published,
    PublishFailed,
    VertexAdmitted,
)
from meshnode.drawing.text import printable
from simulations.faults import Fault, Restore, Skew, Twins
from simulations.fuzzing.mutants import switch_on
from simulations.fuzzing.run import Result, Run
from simulations.fuzzing.spec import Spec
from simulations.network import ARRIVAL
from simulations.observers import Observer
from simulations.reports.contents import describe

if TYPE_CHECKING:
    from simulations.host import Host
    from simulations.world import World

LINES_MAX: Final = 50_000
CELL: Final = 5
DOWN: Final = "x"
PAUSED: Final = "z"
UP: Final = "."

Write = Callable[[str], object]
"""Takes a line without its end."""


def replay_with_log(
    spec: Spec, write: Write, *, messages: bool = False, lines_max: int = LINES_MAX
) -> Result:
    """Run a plan, and write what happens line by line; the run is the same as without."""
    with switch_on(spec.mutant):
        run = Run(spec)
        log = Columns(write, spec.faults, messages=messages, lines_max=lines_max)
        run.world.add_observer(log)
        log.begin()
        result = run.carry_out()
    log.end(f"broken: {result.message}" if result.check else "clean")
    return result


class Columns(Observer):
    """Writes one line per event."""

    def __init__(
        self,
        write: Write,
        faults: tuple[Fault, ...] = (),
        *,
        messages: bool = False,
        lines_max: int = LINES_MAX,
    ) -> None:
        """Log to `write`.

        Args:
            write: Takes the lines.
            faults: The plan, whose faults are told when they begin.
            messages: Whether every arrival has a line too.
            lines_max: Further lines are counted and left out.
        """
        self.left_out = 0
        self._write = write
        self._lines = 0
        self._lines_max = lines_max
        self._messages = messages
        self._plan = sorted(
            (fault for fault in faults if not isinstance(fault, Skew | Twins | Restore)),
            key=lambda fault: (fault.at_ms, fault.number),
        )
        self._timeless = [fault for fault in faults if isinstance(fault, Skew | Twins | Restore)]
        self._world: World | None = None

    # --- hooks ----------------------------------------------------------------------------------

    def on_added(self, world: World) -> None:
        """See `Observer`."""
        self._world = world

    def on_event(self, target: int, kind: int, payload: Any) -> None:
        """See `Observer`."""
        if self._messages and kind == ARRIVAL and target >= 0:
            source, message = payload
            name, items = describe(message)
            what = " ".join([name, *(item[:8] for item in items[:3])])
            self._tell(target, "<", f"{self._name(source)} to {self._name(target)}: {what}")

    def on_fact(self, host: Host, event: Event) -> None:
        """See `Observer`."""
        found = _describe_fact(event, self._name_peer)
        if found is not None:
            sign, text = found
            self._tell(host.index, sign, f"{host.identity.name} {text}")

    def on_started(self, host: Host) -> None:
        """See `Observer`."""
        again = " again" if host.life > 1 else ""
        self._tell(host.index, "up", f"{host.identity.name} starts{again}")

    def on_crashed(self, host: Host) -> None:
        """See `Observer`."""
        self._tell(host.index, DOWN, f"{host.identity.name} crashes")

    # --- lines ----------------------------------------------------------------------------------

    def begin(self) -> None:
        """Write the head: the columns, and the faults that have no time of their own."""
        nodes = "".join(f"{node.index:<{CELL}}" for node in self._get_world().nodes)
        self._put(f"{'time ms':>12} | {nodes}|")
        for fault in self._timeless:
            when = "after healing" if isinstance(fault, Restore) else "from the start"
            self._put(f"{'':>12} | {self._draw(-1, '')}| {when}: {_describe_fault(fault)}")

    def end(self, text: str) -> None:
        """Write how it ended."""
        if self.left_out:
            self._write(f"{self.left_out:,} lines left out")
        self._write(f"{self._format_time(self._get_world().kernel.now_ns)} | {printable(text)}")

    def _get_world(self) -> World:
        assert self._world is not None, "an observer has a world"
        return self._world

    def _name(self, node: int) -> str:
        found: Any = self._get_world().nodes[node]
        return str(found.identity.name)

    def _name_peer(self, transport: str) -> str:
        hosts = self._get_world().hosts
        return next((host.identity.name for host in hosts if host.name == transport), transport)

    def _tell(self, node: int, sign: str, text: str) -> None:
        now_ns = self._get_world().kernel.now_ns
        while self._plan and self._plan[0].at_ms * 1_000_000 <= now_ns:
            fault = self._plan.pop(0)
            at = self._format_time(fault.at_ms * 1_000_000)
            self._put(f"{at} | {self._draw(-1, '')}| fault: {_describe_fault(fault)}")
        self._put(f"{self._format_time(now_ns)} | {self._draw(node, sign)}| {printable(text)}")

    def _draw(self, acting: int, sign: str) -> str:
        cells = []
        for node in self._get_world().hosts:
            state = DOWN if not node.is_up else PAUSED if node.is_paused else UP
            shown = sign if node.index == acting else state
            cells.append(f"{shown[: CELL - 1]:<{CELL}}")
        return "".join(cells)

    def _put(self, line: str) -> None:
        if self._lines < self._lines_max:
            self._lines += 1
            self._write(line)
        else:
            self.left_out += 1

    @staticmethod
    def _format_time(time_ns: int) -> str:
        return f"{time_ns / 1e6:>12,.3f}"


def _describe_fact(event: Event, name_peer: Callable[[str], str]) -> tuple[str, str] | None:
    """What a node's column shows, and what it says; None for what is not told."""
    match event:
        case Published(signed=signed):
            name = signed.id.hex()
            return f"P{name[:3]}", f"publishes {name[:8]}"
        case PublishFailed(reason=reason):
            return "P!", f"cannot publish: {reason}"
        case VertexAdmitted(signed=signed, source=source) if source:
            name = signed.id.hex()
            return f"+{name[:3]}", f"admits {name[:8]} from {name_peer(source)}"
        case PeerReady(name=name):
            return "o-o", f"is ready with {name}"
        case PeerLost(peer=peer, reason=reason):
            return "o/o", f"loses {name_peer(peer)}: {reason}"
        case ForkSeen(first=first, second=second):
            return "FORK", f"sees a fork: {first.hex()[:8]} and {second.hex()[:8]}"
        case OffenceSeen(peer=peer, offence=offence, detail=detail):
            return "!", f"counts {offence.value} against {name_peer(peer)}: {detail}"
        case Alone():
            return "?", "is alone"
        case _:
            return None


def _describe_fault(fault: Fault) -> str:
    fields = msgspec.to_builtins(fault)
    kind = fields.pop("fault")
    del fields["number"]
    return " ".join([kind, *(f"{name}={value}" for name, value in fields.items() if value != "")])
