"""One test, sans I/O: who is told what, and when; a driver brings lines and time.

The phases are Maelstrom's: every node is initialised, the load runs while partitions come and go,
everything heals and rests, and each node is read for the last time.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from simulations.errors import Unreached
from simulations.maelstrom.clients import Clients, WrongAnswer
from simulations.maelstrom.network import Network
from simulations.maelstrom.protocol import BadLine, Message, decode_message, encode_message
from simulations.maelstrom.topology import make_grid
from simulations.streams import Streams

if TYPE_CHECKING:
    from simulations.maelstrom.plan import Plan

SETTER: Final = "c0"
"""The client that sets nodes up."""
INIT_ID: Final = 1
TOPOLOGY_ID: Final = 2


Tell = Callable[[str], object]


def say_nothing(_line: str) -> None:
    """Tell nobody."""


class Phase(IntEnum):
    """How far a test is."""

    INIT = 0
    TOPOLOGY = 1
    LOAD = 2
    DRAIN = 3
    """No more requests; the last ones are answered or given up."""
    REST = 4
    FINAL = 5
    OVER = 6


class Trial:
    """A test from its first line to its last."""

    def __init__(self, plan: Plan, now_ms: int, tell: Tell = say_nothing) -> None:
        """Begin: every node is to be told its name.

        Args:
            plan: What to run.
            now_ms: The time.
            tell: Is called with a line on how far the test is, now and then.
        """
        streams = Streams(plan.seed)
        self.plan = plan
        self._tell = tell
        self.phase = Phase.INIT
        self.clients = Clients(plan)
        self.network = Network(
            streams.get("network"),
            latency_ms=plan.latency_ms,
            distribution=plan.distribution,
            loss=plan.loss,
        )
        self.load_lines = 0
        """Lines between nodes while the load ran."""
        self._load: random.Random = streams.get("load")
        self._nemesis: random.Random = streams.get("nemesis")
        self._missing: dict[str, None] = {}
        self._lines: list[tuple[str, bytes]] = []
        self._next_request_ms = 0
        self._next_nemesis_ms = 0
        self._phase_due_ms = now_ms + plan.start_timeout_ms
        for name in plan.names:
            self._set_up(name, INIT_ID, type="init", node_id=name, node_ids=plan.names)

    @property
    def is_over(self) -> bool:
        """Whether the history is complete."""
        return self.phase is Phase.OVER

    def _set_up(self, name: str, msg_id: int, **fields: object) -> None:
        self._missing[name] = None
        self._lines.append((name, encode_message(SETTER, name, {**fields, "msg_id": msg_id})))

    # --- lines ----------------------------------------------------------------------------------

    def take_lines(self, now_ms: int) -> list[tuple[str, bytes]]:
        """What nodes are to read now."""
        lines, self._lines = self._lines, []
        return lines + self.clients.take_lines() + self.network.take_due(now_ms)

    def receive(self, now_ms: int, name: str, line: bytes) -> None:
        """Take a line that a node wrote. Raises `WrongAnswer`."""
        try:
            message, head = decode_message(line)
        except BadLine as error:
            raise WrongAnswer(f"{name} wrote {error.message}") from error
        if message.src != name:
            raise WrongAnswer(f"{name} spoke for {message.src}")
        if message.dest in self.plan.names:
            self.network.send(now_ms, name, message.dest, line)
        elif message.dest == SETTER:
            self._note_set_up(now_ms, message, head.type, head.in_reply_to)
        else:
            self.clients.receive(now_ms, message, head)
            self._advance(now_ms)

    def _note_set_up(self, now_ms: int, message: Message, kind: str, asked: int | None) -> None:
        msg_id, wanted = (
            (INIT_ID, "init_ok") if self.phase is Phase.INIT else (TOPOLOGY_ID, "topology_ok")
        )
        if asked != msg_id:
            return
        if kind != wanted:
            raise WrongAnswer(f"{message.src} answered {kind}, where {wanted} is due")
        self._missing.pop(message.src, None)
        self._advance(now_ms)

    # --- time -----------------------------------------------------------------------------------

    @property
    def next_wakeup(self) -> int | None:
        """When `tick` or `take_lines` has something to do."""
        deadlines = [self.network.next_ms, self.clients.next_deadline]
        if self.phase is Phase.LOAD:
            deadlines += [self._phase_due_ms]
            if self.clients.free:
                deadlines += [self._next_request_ms]
            if self.plan.partitions:
                deadlines += [self._next_nemesis_ms]
        elif self.phase in (Phase.INIT, Phase.TOPOLOGY, Phase.REST):
            deadlines += [self._phase_due_ms]
        return min((due_ms for due_ms in deadlines if due_ms is not None), default=None)

    def tick(self, now_ms: int) -> None:
        """Do what is due. Raises `Unreached` if nodes do not come up."""
        self.clients.tick(now_ms)
        if self.phase is Phase.LOAD:
            self._tick_load(now_ms)
        elif self._missing and now_ms >= self._phase_due_ms:
            raise Unreached(
                f"no answer to {self.phase.name.lower()} from {', '.join(self._missing)}",
                hint="see what the program writes to its standard error",
            )
        self._advance(now_ms)

    def _tick_load(self, now_ms: int) -> None:
        if self.plan.partitions and self._next_nemesis_ms <= now_ms < self._phase_due_ms:
            self._next_nemesis_ms = now_ms + self.plan.partition_ms
            if self.network.is_parted:
                self.network.heal()
                self._tell("healed")
            else:
                self._part()
        while self._next_request_ms <= min(now_ms, self._phase_due_ms) and self.clients.free:
            self._request(now_ms)
            gap_ms = 2_000 / self.plan.rate * self._load.random()
            self._next_request_ms = max(self._next_request_ms, now_ms - 1_000) + round(gap_ms)

    def _part(self) -> None:
        """Two sides at random, neither of them empty if there are two nodes."""
        names = list(self.plan.names)
        self._nemesis.shuffle(names)
        count = self._nemesis.randint(1, max(1, len(names) // 2))
        self.network.part({name: number < count for number, name in enumerate(names)})
        self._tell(f"parted: {', '.join(sorted(names[:count]))} from the others")

    def _request(self, now_ms: int) -> None:
        name = self._load.choice(self.clients.free)
        if self._load.random() < 0.5:
            self.clients.add(now_ms, name)
        else:
            self.clients.read(now_ms, name)

    # --- phases ---------------------------------------------------------------------------------

    def _advance(self, now_ms: int) -> None:
        """Go on to the next phase once this one has nothing left to do."""
        match self.phase:
            case Phase.INIT if not self._missing:
                self._begin_topology(now_ms)
            case Phase.TOPOLOGY if not self._missing:
                self._begin_load(now_ms)
            case Phase.LOAD if now_ms >= self._phase_due_ms:
                self.load_lines = self.network.sent - self.load_lines
                self.network.heal()
                self.phase = Phase.DRAIN
                self._advance(now_ms)
            case Phase.DRAIN if self.clients.is_idle:
                self._phase_due_ms = now_ms + self.plan.quiet_ms
                self.phase = Phase.REST
                self._tell(f"{len(self.clients.history)} requests made; rest")
            case Phase.REST if now_ms >= self._phase_due_ms:
                self.clients.read_all(now_ms)
                self.phase = Phase.FINAL
            case Phase.FINAL if self.clients.is_idle:
                self.phase = Phase.OVER
            case _:
                pass

    def _begin_topology(self, now_ms: int) -> None:
        self.phase = Phase.TOPOLOGY
        if self.plan.workload != "broadcast":
            self._begin_load(now_ms)
            return
        topology = make_grid(self.plan.names)
        for name in self.plan.names:
            self._set_up(name, TOPOLOGY_ID, type="topology", topology=topology)

    def _begin_load(self, now_ms: int) -> None:
        self.phase = Phase.LOAD
        self._tell("all nodes are up; load")
        self.load_lines = self.network.sent
        self._phase_due_ms = now_ms + self.plan.time_limit_ms
        self._next_request_ms = now_ms
        self._next_nemesis_ms = now_ms + self.plan.partition_ms
