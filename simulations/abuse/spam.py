"""Valid vertices, and far too many of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dag.types import Ref
from meshnode.core import author_pace
from meshnode.core.inputs import Received, Standing, Vertices
from meshnode.core.messages import Items, Push
from meshnode.core.settings import Limits
from meshnode.core.verify_budget import VerifyBudget
from simulations.abuse.arena import ENDLESS, Forger, Holdings, find_own_profile, make_mesh, tell
from simulations.abuse.rows import Row, Trial
from simulations.fuzzing.mutants.patches import answer
from simulations.identities import START_MS
from simulations.network import NetworkSettings
from simulations.observers import Observer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dag.vertex import SignedVertex
    from meshnode.core.inputs import Input
    from meshnode.core.messages import Message
    from simulations.host import Host
    from simulations.mesh import Mesh
    from simulations.world import World

SPAMMING_S: Final = 10
MEMBERS: Final = 12
PER_TICK: Final = 20
TICK_MS: Final = 100
LARGE: Final = Limits(full_mesh_max=6)
UPLINK_BPS: Final = 4_000_000
BODY_BYTES: Final = 2_000
USELESS: Final = 300


def _spam(world: World, mesh: Mesh, body_bytes: int = 64) -> list[SignedVertex]:
    """Let the first member say 200 notes a second to all its neighbours."""
    attacker = mesh[0]
    names = attacker.core.get_ready_peers()
    neighbours = [host for host in mesh if host.name in names]
    forger = Forger(attacker.identity, attacker.settings.genesis)
    chain = forger.make_chain(
        find_own_profile(attacker),
        SPAMMING_S * 1_000 // TICK_MS * PER_TICK,
        time_ms=attacker.read_clock_ms(),
        body_bytes=body_bytes,
    )
    for number in range(0, len(chain), PER_TICK):
        wires = tuple(signed.wire for signed in chain[number : number + PER_TICK])
        at_ms = world.now_ms + TICK_MS * number // PER_TICK
        world.at(at_ms, _tell_all, attacker, neighbours, Push(wires))
    return chain


def _tell_all(attacker: Host, neighbours: Sequence[Host], message: Push) -> None:
    for host in neighbours:
        tell(attacker, host, message)


def fill_every_store(trial: Trial) -> int:
    """A member says 200 valid notes a second for 10 s; answers how many a store takes in."""
    world, mesh = make_mesh(trial.seed, MEMBERS, limits=LARGE)
    holdings = Holdings(world)
    chain = _spam(world, mesh)
    world.run_for(1_000 * SPAMMING_S)
    ids = [signed.id for signed in chain]
    return max(holdings.count(host, ids) for host in mesh[1:])


def delay_honest_notes(trial: Trial) -> int:
    """The same over thin links, 2 KB each; answers how late the last honest note is everywhere."""
    world, mesh = make_mesh(trial.seed, MEMBERS, limits=LARGE)
    world.network.change(NetworkSettings(uplink_bps=UPLINK_BPS))
    world.network.uplinks_bps[mesh[0].index] = 1_000 * UPLINK_BPS
    holdings = Holdings(world)
    spam = {signed.id: None for signed in _spam(world, mesh, body_bytes=BODY_BYTES)}
    start_ms = world.now_ms
    honest = mesh[1:]
    said = 10
    for number in range(said):
        at_ms = start_ms + 1_000 * SPAMMING_S // 2 + 200 * number
        world.at(at_ms, honest[number % len(honest)].publish, b"honest")
    world.run_for(3_000 * SPAMMING_S)
    late_ms = []
    for vertex_id, holders in holdings.since_ms.items():
        if vertex_id not in spam:
            known = [holders.get(host.index, ENDLESS) for host in honest]
            late_ms.append(max(known) - min(known))
    assert len(late_ms) >= said, "honest members have spoken"
    return min(max(late_ms), 3_000 * SPAMMING_S)


def _any_number(_right: Any) -> int:
    return ENDLESS


class _Checked(Observer):
    """Counts the vertices whose signatures a host has checked for a peer."""

    def __init__(self, host: Host, peer: str) -> None:
        self.count = 0
        self._host = host
        self._peer = peer
        host.world.add_observer(self)

    def on_input(self, host: Host, entry: Input) -> None:
        """See `Observer`."""
        if host is not self._host or not isinstance(entry, Received) or entry.peer != self._peer:
            return
        if isinstance(entry.message, Vertices):
            standings = [one.standing for one in entry.message.candidates]
            self.count += standings.count(Standing.VERIFIED)


def have_signatures_checked(trial: Trial) -> int:
    """300 valid vertices that must wait, pushed again and again; answers how many are checked."""
    world, (victim, attacker, *_) = make_mesh(trial.seed, 4)
    attacker.mutator = _serve_nothing
    forger = Forger(attacker.identity, attacker.settings.genesis)
    stream = world.streams.get("useless")
    wires = [
        forger.make((Ref(1, stream.randbytes(32)),), seq=seq, time_ms=START_MS).wire
        for seq in range(1, USELESS + 1)
    ]
    checked = _Checked(victim, attacker.name)
    for number in range(SPAMMING_S * 1_000 // TICK_MS):
        part = [wires[(number * PER_TICK * 5 + each) % USELESS] for each in range(PER_TICK * 5)]
        world.at(world.now_ms + TICK_MS * number, tell, attacker, victim, Push(tuple(part)))
    world.run_for(1_000 * SPAMMING_S)
    assert victim.name in attacker.core.get_ready_peers(), "nobody is banned for it"
    return checked.count


def _serve_nothing(_host: Host, _peer: str, message: Message) -> Sequence[Message]:
    return () if isinstance(message, Items) else (message,)


_UNPACED: Final = ((author_pace, "NEWS_BURST", _any_number),)

ROWS: Final = (
    Row(
        name="spam-stored",
        attack="a member says 200 valid notes a second for 10 s",
        defence="20 a second of one author and 200 at once, the rest waits, then is dropped",
        code="meshnode/core/author_pace.py",
        figure="notes a store takes in",
        bound=700,
        mount=fill_every_store,
        patches=_UNPACED,
    ),
    Row(
        name="spam-checked",
        attack="300 valid vertices that must wait, pushed 1,000 a second for 10 s",
        defence="200 in vain for one peer, then 50 a second; else it is not read",
        code="meshnode/core/verify_budget.py, reception.py",
        figure="vertices checked",
        bound=1_100,
        mount=have_signatures_checked,
        patches=((VerifyBudget, "is_spent", answer(False)),),
    ),
    Row(
        name="spam-delays",
        attack="the same with 2 KB each over uplinks of 4 Mbit/s",
        defence="as above: what is not taken in is not passed on",
        code="meshnode/core/author_pace.py, dissemination.py",
        figure="ms until honest notes are everywhere",
        bound=5_000,
        mount=delay_honest_notes,
        patches=_UNPACED,
    ),
)
