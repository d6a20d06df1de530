"""More of what is allowed than anybody needs: announcements, and changes of links."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from meshnode.core import dissemination
from meshnode.core.messages import Graft, IHave, Items, Prune
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


def graft_and_prune(trial: Trial) -> int:
    """GRAFT and PRUNE at random, 100 a second; answers how often a link changes in 10 s."""
    world, mesh = make_mesh(trial.seed, 8, limits=LARGE)
    attacker = mesh[0]
    peers = attacker.core.get_ready_peers()
    victim = next(host for host in mesh if host.name in peers)
    tree = victim.core._tree  # noqa: SLF001 - what the core thinks of a link shows nowhere else
    changes, state = 0, tree.is_branch(attacker.name)
    stream = world.streams.get("links")
    for _ in range(100 * FLIPPING_S):
        tell(attacker, victim, Prune() if stream.random() < 0.5 else Graft())
        world.run_for(10)
        if tree.is_branch(attacker.name) != state:
            state = not state
            changes += 1
    return changes


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
        defence="a peer changes a link twice a second at most",
        code="meshnode/core/plumtree.py",
        figure="changes of one link",
        bound=20,
        mount=graft_and_prune,
        patches=((Plumtree, "_hear", answer(True)),),
    ),
)
