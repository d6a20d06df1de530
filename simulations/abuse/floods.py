"""More of what is allowed than anybody needs: announcements, and changes of links."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from meshnode.core import dissemination, plumtree
from meshnode.core.messages import Get, Graft, IHave, Items, Prune
from meshnode.core.plumtree import Plumtree
from meshnode.core.settings import Limits
from simulations.abuse.arena import ENDLESS, make_mesh, tell
from simulations.abuse.rows import Row, Trial
from simulations.fuzzing.mutants.patches import answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshnode.core.messages import Message
    from simulations.host import Host

ANNOUNCING_MS: Final = 2_000
FLIPPING_S: Final = 10
REPAIRING_S: Final = 60
FAR: Final = 1 << 40
"""Numbers of questions that the attacker's own core does not ask."""
LARGE: Final = Limits(full_mesh_max=4)
"""Above four members a mesh is one of few links."""


def _any_number(_right: Any) -> int:
    return ENDLESS


def _serve_nothing(_host: Host, _peer: str, message: Message) -> Sequence[Message]:
    return () if isinstance(message, Items) else (message,)


def announce_without_end(trial: Trial) -> int:
    """IHAVE of ids that nobody holds, 10,000 a second; answers how many are wanted at most."""
    limits = Limits() if trial.guarded else Limits(walk_ids_per_peer_max=ENDLESS)
    world, (victim, attacker, *_) = make_mesh(trial.seed, 4, limits=limits)
    attacker.mutator = _serve_nothing
    stream = world.streams.get("announcements")
    most = 0
    for _ in range(ANNOUNCING_MS // 50):
        tell(attacker, victim, IHave(tuple(stream.randbytes(32) for _ in range(500))))
        world.run_for(50)
        most = max(most, victim.summarise().fetching)
    return most


class _Link:
    """A link of an attacker and a victim, and how often the victim's end of it has changed."""

    def __init__(self, trial: Trial) -> None:
        self.world, mesh = make_mesh(trial.seed, 8, limits=LARGE)
        self.attacker = mesh[0]
        peers = self.attacker.core.get_ready_peers()
        self.victim = next(host for host in mesh if host.name in peers)
        self.changes = 0
        self._state = self._is_branch()

    def _is_branch(self) -> bool:
        tree = self.victim.core._tree  # noqa: SLF001 - what the core thinks of a link shows nowhere else
        return tree.is_branch(self.attacker.name)

    def say(self, *messages: Message, wait_ms: int) -> None:
        """Say something, and look at the link after a while."""
        tell(self.attacker, self.victim, *messages)
        self.world.run_for(wait_ms)
        if self._is_branch() != self._state:
            self._state = not self._state
            self.changes += 1


def graft_and_prune(trial: Trial) -> int:
    """GRAFT and PRUNE at random, 100 a second; answers how often a link changes in 10 s."""
    link = _Link(trial)
    stream = link.world.streams.get("links")
    for _ in range(100 * FLIPPING_S):
        link.say(Prune() if stream.random() < 0.5 else Graft(), wait_ms=10)
    return link.changes


def pull_before_each_graft(trial: Trial) -> int:
    """PRUNE, two pulls and GRAFT, each second; answers how often a link changes in a minute."""
    link = _Link(trial)
    link.victim.mutator = _serve_nothing  # the attacker has no use for the answers
    ids = tuple(record.profiles[0].id for record in link.victim.view().members[:2])
    for number in range(REPAIRING_S):
        link.say(Prune(), wait_ms=500)
        link.say(Get(FAR + number, ids), Graft(), wait_ms=500)
    return link.changes


ROWS: Final = (
    Row(
        name="ihave-flood",
        attack="IHAVE of ids that nobody holds, 10,000 a second for 2 s",
        defence="5,000 ids a second are read, 2,048 of one peer wanted at a time",
        code="meshnode/core/dissemination.py, fetching.py",
        figure="ids wanted at once",
        bound=2_048,
        mount=announce_without_end,
        patches=((dissemination, "ANNOUNCED_MAX", _any_number),),
    ),
    Row(
        name="graft-flood",
        attack="GRAFT and PRUNE at random, 100 a second for 10 s",
        defence="two changes a second, none for 60 s after PRUNE; strikes, then a ban",
        code="meshnode/core/plumtree.py, dissemination.py",
        figure="changes of one link",
        bound=3,
        mount=graft_and_prune,
        patches=(
            (Plumtree, "_hear", answer(True)),
            (Plumtree, "_may_graft", answer(True)),
        ),
    ),
    Row(
        name="graft-pulls",
        attack="PRUNE, two vertices pulled, GRAFT, each second for a minute",
        defence="who has pulled over a pruned link may have it back three times",
        code="meshnode/core/plumtree.py",
        figure="changes of one link",
        bound=8,
        mount=pull_before_each_graft,
        patches=((plumtree, "REPAIRS_MAX", _any_number),),
    ),
)
