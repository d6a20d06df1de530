"""Small questions about whole stores: what a peer can make a node compute and send."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Final

from dag.heads import compute_heads_digest
from dag.ranges import END, LEAF_REFS_MAX, make_lamport_bound
from meshnode.core import range_answers, sync_budget
from meshnode.core.messages import RANGES_ASKED_MAX, Digest, Heads, Items, Push, Range, Ranges
from simulations.abuse.arena import ENDLESS, SETTLE_MS, make_mesh, tell
from simulations.abuse.rows import Row, Trial
from simulations.fidelity import remember_vertex
from simulations.observers import Observer

if TYPE_CHECKING:
    from meshnode.core.messages import Message
    from simulations.host import Host
    from simulations.mesh import Mesh
    from simulations.world import World

NOTES: Final = 1_500
ASKING_S: Final = 60


class _Traffic(Observer):
    """What one host sends another from now on."""

    def __init__(self, sender: Host, receiver: Host, *kinds: type) -> None:
        self.messages = 0
        self.size_bytes = 0
        self.vertices = 0
        self._sender = sender
        self._receiver = receiver
        self._kinds = kinds
        sender.world.add_observer(self)

    def on_sent(self, host: Host, target: int, message: Message, size_bytes: int) -> None:
        """See `Observer`."""
        if host is not self._sender or target != self._receiver.index:
            return
        if isinstance(message, self._kinds):
            self.messages += 1
            self.size_bytes += size_bytes
        if isinstance(message, Push | Items):
            self.vertices += len(message.vertices)


def _fill(seed: int) -> tuple[World, Mesh]:
    """A mesh of which every member holds the same notes."""
    world, mesh = make_mesh(seed, 4)
    for number in range(NOTES):
        world.at(world.now_ms + 2 * number, mesh[number % 3].publish, b"note")
    world.run_for(2 * NOTES + SETTLE_MS)
    assert mesh.converged, "honest nodes agree before anybody asks"
    return world, mesh


def ask_for_the_store(trial: Trial) -> int:
    """HEADS of one who holds nothing, every second; answers how many stores it was sent."""
    world, (victim, attacker, *_) = _fill(trial.seed)
    traffic = _Traffic(victim, attacker, Push)
    first = min(victim.core.view().members, key=lambda one: one.profiles).profiles[0]
    nothing = Heads((first,), Digest(compute_heads_digest((first,)), 1, 1), reply=False)
    for second in range(ASKING_S):
        world.at(world.now_ms + 1_100 * second, tell, attacker, victim, nothing)
    world.run_for(1_100 * ASKING_S + SETTLE_MS)
    return round(traffic.vertices / victim.summarise().vertices)


def ask_for_heads(trial: Trial) -> int:
    """HEADS that want an answer, 50 a second; answers how many got one in a second."""
    world, (victim, attacker, *_) = _fill(trial.seed)
    empty = Heads((), victim.core.compute_digest(), reply=True)
    traffic = _Traffic(victim, attacker, Heads)
    for number in range(50 * ASKING_S):
        world.at(world.now_ms + 20 * number, tell, attacker, victim, empty)
    world.run_for(1_000 * ASKING_S)
    return round(traffic.messages / ASKING_S)


def ask_about_ranges(trial: Trial) -> int:
    """RANGES of which every one is false and short; answers bytes received per byte sent."""
    world, (victim, attacker, *_) = _fill(trial.seed)
    traffic = _Traffic(victim, attacker, Ranges)
    bounds = [*_find_leaves(attacker)[: RANGES_ASKED_MAX - 1], END]
    ranges = tuple(Range(upper, bytes(16)) for upper in bounds)
    sent_bytes = 0
    for number in range(20):
        question = Ranges(number, False, b"", ranges)
        sent_bytes += len(world.encode(question))
        world.at(world.now_ms + 1_100 * number, tell, attacker, victim, question)
    world.run_for(25_000)
    return round(traffic.size_bytes / sent_bytes)


def _any_number(_right: Any) -> int:
    return ENDLESS


def _find_leaves(host: Host) -> list[bytes]:
    """The shortest bounds between as many vertices as are named in one range."""
    lamports = sorted(remember_vertex(wire).vertex.lamport for wire in host.disk.newest_wires())
    bounds, first = [], 0
    for place, lamport in enumerate(lamports):
        if place - first >= LEAF_REFS_MAX:
            first = bisect_left(lamports, lamport)
            bounds.append(make_lamport_bound(lamport))
    return bounds


ROWS: Final = (
    Row(
        name="sync-store",
        attack="HEADS that know nothing, every second, to be sent the whole store each time",
        defence="4 stores in 10 minutes, remembered beyond the connection",
        code="meshnode/core/sync_budget.py",
        figure="stores sent to one peer in a minute",
        bound=5,
        mount=ask_for_the_store,
        patches=((sync_budget, "STORES_MAX", _any_number),),
    ),
    Row(
        name="sync-heads",
        attack="HEADS of 60 bytes that want 2.7 KB of HEADS, 50 a second",
        defence="2 answers a second, 4 at once",
        code="meshnode/core/sync_budget.py",
        figure="answers a second",
        bound=2,
        mount=ask_for_heads,
        patches=((sync_budget, "HEADS_BURST", _any_number),),
    ),
    Row(
        name="sync-ranges",
        attack="RANGES in short false pieces, each answered with all it holds",
        defence="answers of at most 16 times the bytes asked, 8 rounds, 2 sessions",
        code="meshnode/core/range_answers.py",
        figure="bytes answered per byte asked",
        bound=16,
        mount=ask_about_ranges,
        patches=((range_answers, "AMPLIFICATION_MAX", _any_number),),
    ),
)
