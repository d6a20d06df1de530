"""Authors that sign more than one vertex for one slot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dag.authors import AuthorRegistry
from dag.index import Index
from meshnode.core.messages import Push
from meshnode.core.settings import Limits
from simulations.abuse.arena import SETTLE_MS, Forger, Holdings, find_own_profile, make_mesh, tell
from simulations.abuse.rows import Row, Trial
from simulations.fidelity import remember_vertex
from simulations.fuzzing.mutants.patches import answer
from simulations.identities import START_MS
from simulations.observers import Observer

if TYPE_CHECKING:
    from meshnode.core.messages import Message
    from simulations.host import Host

TWINS: Final = 60
NOTES: Final = 50
LARGE: Final = Limits(full_mesh_max=6)


def fill_a_slot(trial: Trial) -> int:
    """One slot signed 60 times, each for another peer; answers how many of them a store keeps."""
    world, mesh = make_mesh(trial.seed, 6)
    attacker, *honest = mesh
    holdings = Holdings(world)
    forger = Forger(attacker.identity, attacker.settings.genesis)
    profile = find_own_profile(attacker)
    twins = [
        forger.make((profile,), seq=1, time_ms=START_MS, body=bytes([number]))
        for number in range(TWINS)
    ]
    for number, signed in enumerate(twins):
        tell(attacker, honest[number % len(honest)], Push((signed.wire,)))
    world.run_for(2 * SETTLE_MS)
    ids = [signed.id for signed in twins]
    return max(holdings.count(host, ids) for host in honest)


class _Copies(Observer):
    """Counts the copies of an author's vertices that others push."""

    def __init__(self, author: Host) -> None:
        self.count = 0
        self._author = author
        author.world.add_observer(self)

    def on_sent(self, host: Host, target: int, message: Message, size_bytes: int) -> None:
        """See `Observer`."""
        del target, size_bytes
        if host is not self._author and isinstance(message, Push):
            for wire in message.vertices:
                author = remember_vertex(wire).vertex.author
                self.count += author == self._author.identity.author


def speak_on_as_forked(trial: Trial) -> int:
    """An author that has forked says 50 notes more; answers the copies that others push of them."""
    world, mesh = make_mesh(trial.seed, 16, limits=LARGE)
    attacker = mesh[0]
    names = attacker.core.get_ready_peers()
    neighbours = [host for host in mesh if host.name in names]
    forger = Forger(attacker.identity, attacker.settings.genesis)
    profile = find_own_profile(attacker)
    chain = forger.make_chain(profile, NOTES + 1, time_ms=START_MS)
    twin = forger.make((profile,), seq=1, time_ms=START_MS, body=b"another")
    for host in neighbours:
        tell(attacker, host, Push((chain[0].wire, twin.wire)))
    world.run_for(SETTLE_MS)
    copies = _Copies(attacker)
    for number, signed in enumerate(chain[1:]):
        for host in neighbours:
            world.at(world.now_ms + 100 * number, tell, attacker, host, Push((signed.wire,)))
    world.run_for(100 * NOTES + SETTLE_MS)
    return copies.count


def _never_full(_right: Any) -> Any:
    return lambda *_arguments: False


ROWS: Final = (
    Row(
        name="equivocation",
        attack="one slot signed 60 times, each twin for another peer",
        defence="two are kept as evidence, the author counts as forked",
        code="dag/intake.py, meshnode/core/forks.py",
        figure="twins a store keeps",
        bound=2,
        mount=fill_a_slot,
        patches=((Index, "is_slot_full", _never_full),),
    ),
    Row(
        name="forked-speaks",
        attack="an author that has forked says 50 notes more",
        defence="its notes are announced and pulled, nobody pushes them",
        code="meshnode/core/dissemination.py",
        figure="copies others push",
        bound=0,
        mount=speak_on_as_forked,
        patches=((AuthorRegistry, "is_forked", answer(False)),),
    ),
)
