"""Records a run as a Chrome trace, which Perfetto (ui.perfetto.dev) and chrome://tracing open.

Regions are processes, nodes are threads. Work and messages are slices, arrows lead from sending to
arrival, every vertex is a span from its publication to its last admission, and counters show what
is under way. Times are virtual; viewers die of files that are too large, so events are capped.
"""

from __future__ import annotations

import json
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from meshnode.core.events import Event, Published, VertexAdmitted
from simulations.latency import Matrix
from simulations.network import ARRIVAL
from simulations.observers import Observer
from simulations.process import SERVED
from simulations.reports.contents import describe

if TYPE_CHECKING:
    from simulations.host import Host
    from simulations.world import World

EVENTS_MAX: Final = 200_000
SLICE_US: Final = 1.0
"""Shown length of what takes no time; arrows hold on to slices only."""
COUNT_EVERY_NS: Final = 1_000_000

Json = dict[str, Any]


class Timeline(Observer):
    """The slices, arrows, spans and counters of one run."""

    def __init__(
        self, *, events_max: int = EVENTS_MAX, start_ms: int = 0, end_ms: int | None = None
    ) -> None:
        """Record a window of virtual time, at most so many events."""
        self.left_out = 0
        """Events of the window beyond the last one recorded."""
        self._events_max = events_max
        self._start_ns = start_ms * 1_000_000
        self._end_ns = None if end_ms is None else end_ms * 1_000_000
        self._events: list[Json] = []
        self._vertices: dict[str, list[Any]] = {}
        """By id: node and time of the publication, time of the last admission."""
        self._under_way: dict[tuple[int, int, int], deque[int]] = {}
        """Arrows by source, target and arrival, as the kernel orders what ties."""
        self._arrows = 0
        self._counted_ns = -COUNT_EVERY_NS
        self._world: World | None = None

    # --- hooks ----------------------------------------------------------------------------------

    def on_added(self, world: World) -> None:
        """See `Observer`."""
        self._world = world

    def on_launched(
        self, source: int, target: int, message: Any, size_bytes: int, arrival_ns: int
    ) -> None:
        """See `Observer`."""
        if not self._takes(2):
            return
        name, items = describe(message)
        details = {"to": target, "size_bytes": size_bytes, "carries": len(items)}
        self._slice(source, f"send {name}", self._now_ns, 0, details)
        self._arrows += 1
        self._add(source, "s", self._now_ns, name=name, cat="message", id=self._arrows)
        self._under_way.setdefault((source, target, arrival_ns), deque()).append(self._arrows)

    def on_event(self, target: int, kind: int, payload: Any) -> None:
        """See `Observer`."""
        if kind == ARRIVAL:
            self._arrive(target, payload)
        elif kind == SERVED:
            self._serve(target, payload)
        if self._now_ns - self._counted_ns >= COUNT_EVERY_NS and self._takes(1):
            self._counted_ns = self._now_ns
            world = self._get_world()
            counts = {"messages under way": world.network.counters.in_flight}
            self._add(0, "C", self._now_ns, name="network", args=counts)

    def on_fact(self, host: Host, event: Event) -> None:
        """See `Observer`."""
        if isinstance(event, Published | VertexAdmitted):
            known = self._vertices.get(event.signed.id.hex())
            if known is not None:
                known[2] = self._now_ns
            elif self._takes(2):  # of its two ends, written when the last one is known
                self._events_max -= 2
                now_ns = self._now_ns
                self._vertices[event.signed.id.hex()] = [host.index, now_ns, now_ns]

    def on_started(self, host: Host) -> None:
        """See `Observer`."""
        self._mark(host, "up")

    def on_crashed(self, host: Host) -> None:
        """See `Observer`."""
        self._mark(host, "crashed")

    # --- what they write ------------------------------------------------------------------------

    def _arrive(self, target: int, payload: Any) -> None:
        source, message = payload
        waiting = self._under_way.get((source, target, self._now_ns))
        if not waiting:
            return
        arrow = waiting.popleft()
        if not waiting:
            del self._under_way[source, target, self._now_ns]
        if self._takes(2):
            name = describe(message).name
            self._slice(target, f"receive {name}", self._now_ns, 0, {"from": source})
            self._add(target, "f", self._now_ns, name=name, cat="message", id=arrow, bp="e")

    def _serve(self, target: int, payload: Any) -> None:
        from simulations.host import Host

        node = self._get_world().nodes[target]
        if isinstance(node, Host):
            batch = payload[1]
            took_ns = sum(cost_ns for cost_ns, _ in batch) * node.slowness
            name = f"handle {len(batch)} inputs" if len(batch) != 1 else "handle 1 input"
        else:
            took_ns, name = node.cost_ns, "handle 1 message"
        if self._takes(1):
            self._slice(target, name, self._now_ns - took_ns, took_ns, {})

    def _mark(self, host: Host, name: str) -> None:
        if self._takes(1):
            self._add(host.index, "i", self._now_ns, name=name, s="t")

    def _slice(self, node: int, name: str, at_ns: int, took_ns: int, details: Json) -> None:
        length_us = max(SLICE_US, took_ns / 1_000)
        self._add(node, "X", at_ns, name=name, dur=length_us, args=details)

    def _add(self, node: int, phase: str, at_ns: int, **fields: Any) -> None:
        place = {"ph": phase, "ts": at_ns / 1_000, "pid": self._find_region(node), "tid": node}
        self._events.append({**place, **fields})

    def _takes(self, count: int) -> bool:
        now_ns = self._now_ns
        if now_ns < self._start_ns or (self._end_ns is not None and now_ns > self._end_ns):
            return False
        if len(self._events) + count > self._events_max:
            self.left_out += count
            return False
        return True

    # --- where things are -----------------------------------------------------------------------

    def _get_world(self) -> World:
        assert self._world is not None, "an observer has a world"
        return self._world

    @property
    def _now_ns(self) -> int:
        return self._get_world().kernel.now_ns

    def _find_region(self, node: int) -> int:
        latency = self._get_world().network.settings.latency
        return latency.place_of(node) if isinstance(latency, Matrix) else 0

    def _name_region(self, region: int) -> str:
        latency = self._get_world().network.settings.latency
        return latency.names[region] if isinstance(latency, Matrix) else "mesh"

    # --- the document ---------------------------------------------------------------------------

    def make_document(self) -> Json:
        """The trace as an object of JSON types."""
        world = self._get_world()
        note = f"{self.left_out} events left out at the limit" if self.left_out else "complete"
        events = [*self._make_names(), *self._events, *self._make_spans()]
        return {
            "traceEvents": events,
            "displayTimeUnit": "ms",
            "otherData": {"seed": world.seed, "digest": world.digest, "note": note},
        }

    def write(self, path: Path) -> Path:
        """Write the trace where a viewer finds it."""
        path.write_text(json.dumps(self.make_document(), separators=(",", ":")), encoding="utf-8")
        return path

    def _make_names(self) -> list[Json]:
        from simulations.host import Host

        names: list[Json] = []
        regions: dict[int, None] = {}
        for node in self._get_world().nodes:
            region = self._find_region(node.index)
            if region not in regions:
                regions[region] = None
                label = {"name": self._name_region(region)}
                names.append({"ph": "M", "name": "process_name", "pid": region, "args": label})
            label = {"name": node.identity.name if isinstance(node, Host) else f"node-{node.index}"}
            place = {"pid": region, "tid": node.index}
            names.append({"ph": "M", "name": "thread_name", **place, "args": label})
        return names

    def _make_spans(self) -> list[Json]:
        spans = []
        for vertex, (node, begun_ns, ended_ns) in self._vertices.items():
            same = {"cat": "vertex", "id": vertex, "name": vertex[:8], "tid": node}
            same["pid"] = self._find_region(node)
            spans.append({"ph": "b", "ts": begun_ns / 1_000, **same})
            spans.append({"ph": "e", "ts": ended_ns / 1_000, **same})
        return spans
