"""Records what the animated topology shows: messages under way, and who holds what since when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from meshnode.core.events import Event, Published, VertexAdmitted
from simulations.network import ARRIVAL
from simulations.observers import Observer
from simulations.reports.contents import describe
from simulations.reports.layout import place_nodes

if TYPE_CHECKING:
    from simulations.host import Host
    from simulations.network import Cut
    from simulations.world import World

SCHEMA: Final = "meshnode.animation/1"
NODES_MAX: Final = 2_000
CARRIERS_MAX: Final = 12_000
"""Messages that spread something."""
OTHERS_MAX: Final = 4_000
ITEMS_MAX: Final = 400
HOLDINGS_MAX: Final = 40_000
STATES_MAX: Final = 2_000
EDGES_MAX: Final = 8_000

Json = dict[str, Any]


class Animation(Observer):
    """Messages, holdings, crashes and cuts of one run; every list is capped."""

    def __init__(self) -> None:
        self.left_out = 0
        """Messages and holdings beyond the caps."""
        self._world: World | None = None
        self._carriers: list[tuple[int, int, int, int, int]] = []
        """Departure and arrival in µs, source, target, number of the item it carries."""
        self._others: list[tuple[int, int, int, int, int]] = []
        self._items: dict[str, dict[int, int]] = {}
        """By name: since when, in µs, which node holds it; the first one is its origin."""
        self._numbers: dict[str, int] = {}
        self._holdings = 0
        self._states: list[tuple[int, int, int]] = []
        """Time in µs, node, and 1 if it runs from then on."""
        self._edges: dict[tuple[int, int], None] = {}
        self._cuts: tuple[Cut, ...] = ()
        self._cut_times: list[tuple[int, tuple[Cut, ...]]] = []

    # --- hooks ----------------------------------------------------------------------------------

    def on_added(self, world: World) -> None:
        """See `Observer`."""
        self._world = world

    def on_launched(
        self, source: int, target: int, message: Any, size_bytes: int, arrival_ns: int
    ) -> None:
        """See `Observer`."""
        del size_bytes
        items = describe(message).items
        number = self._find_number(items[0]) if items else -1
        kept, kept_max = (self._others, OTHERS_MAX)
        if number >= 0:
            kept, kept_max = (self._carriers, CARRIERS_MAX)
            if not self._is_host(source):
                self._hold(items[0], source)
        if len(kept) >= kept_max:
            self.left_out += 1
            return
        kept.append((self._now_us, arrival_ns // 1_000, source, target, number))
        if len(self._edges) < EDGES_MAX:
            self._edges[min(source, target), max(source, target)] = None

    def on_event(self, target: int, kind: int, payload: Any) -> None:
        """See `Observer`."""
        world = self._get_world()
        if kind == ARRIVAL and target >= 0 and not self._is_host(target):
            items = describe(payload[1]).items
            if items and world.nodes[target].is_up:
                self._hold(items[0], target)
        cuts = world.network.cuts
        if cuts != self._cuts and len(self._cut_times) < STATES_MAX:
            self._cuts = cuts
            self._cut_times.append((self._now_us, cuts))

    def on_fact(self, host: Host, event: Event) -> None:
        """See `Observer`."""
        if isinstance(event, Published | VertexAdmitted):
            self._hold(event.signed.id.hex(), host.index)

    def on_started(self, host: Host) -> None:
        """See `Observer`."""
        self._note_state(host, 1)

    def on_crashed(self, host: Host) -> None:
        """See `Observer`."""
        self._note_state(host, 0)

    # --- what they note -------------------------------------------------------------------------

    def _get_world(self) -> World:
        assert self._world is not None, "an observer has a world"
        return self._world

    @property
    def _now_us(self) -> int:
        return self._get_world().kernel.now_ns // 1_000

    def _is_host(self, node: int) -> bool:
        from simulations.host import Host

        return isinstance(self._get_world().nodes[node], Host)

    def _find_number(self, item: str) -> int:
        """An item's place in the document; -1 beyond the cap."""
        if item not in self._numbers:
            if len(self._numbers) >= ITEMS_MAX:
                return -1
            self._numbers[item] = len(self._numbers)
            self._items[item] = {}
        return self._numbers[item]

    def _hold(self, item: str, node: int) -> None:
        if self._find_number(item) < 0 or self._holdings >= HOLDINGS_MAX:
            self.left_out += 1
        elif node not in self._items[item]:
            self._items[item][node] = self._now_us
            self._holdings += 1

    def _note_state(self, host: Host, state: int) -> None:
        if len(self._states) < STATES_MAX:
            self._states.append((self._now_us, host.index, state))

    # --- the document ---------------------------------------------------------------------------

    @property
    def is_shown(self) -> bool:
        """Whether there is anything to see, and not too many nodes to see it."""
        world = self._world
        return (
            world is not None
            and 0 < len(world.nodes) <= NODES_MAX
            and bool(self._carriers or self._others)
        )

    def make_document(self) -> Json:
        """Everything as JSON types, times in microseconds."""
        world = self._get_world()
        edges = self._make_edges()
        places = place_nodes(len(world.nodes), edges, seed=world.seed)
        messages = sorted(self._carriers + self._others)
        last_us = max((message[1] for message in messages), default=0)
        return {
            "schema": SCHEMA,
            "seed": world.seed,
            "digest": world.digest,
            "nodes": [
                {"name": self._name(node), "x": x, "y": y} for node, (x, y) in enumerate(places)
            ],
            "edges": edges,
            "messages": messages,
            "items": [
                {"name": name, "held": [[us, node] for node, us in held.items()]}
                for name, held in self._items.items()
            ],
            "states": self._states,
            "cuts": [[us, _find_cut(cuts, edges)] for us, cuts in self._cut_times],
            "end_us": last_us,
            "left_out": self.left_out,
        }

    def _make_edges(self) -> list[list[int]]:
        """Who can talk: the neighbours of processes, and whoever did."""
        edges = dict(self._edges)
        for node in self._get_world().nodes:
            for other in getattr(node, "neighbours", ()):
                if len(edges) < EDGES_MAX:
                    edges[min(node.index, other), max(node.index, other)] = None
        return [list(edge) for edge in sorted(edges)]

    def _name(self, node: int) -> str:
        from simulations.host import Host

        found = self._get_world().nodes[node]
        return found.identity.name if isinstance(found, Host) else f"node-{node}"


def _find_cut(cuts: tuple[Cut, ...], edges: list[list[int]]) -> list[int]:
    """Places of the edges that a cut goes through, in either direction."""
    return [
        place
        for place, (one, other) in enumerate(edges)
        if any(cut.covers(one, other) or cut.covers(other, one) for cut in cuts)
    ]
