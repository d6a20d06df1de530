"""Vertices that cannot be completed: parents that do not exist, authors nobody knows, endless pasts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import dag.intake
from dag.quarantine import QuarantineLimits
from dag.types import Ref
from meshnode.core import fetching
from meshnode.core.messages import Get, Items, Push
from meshnode.core.settings import Limits
from simulations.abuse.arena import ENDLESS, Forger, find_own_profile, make_mesh, tell
from simulations.abuse.rows import Row, Trial
from simulations.fidelity import remember_vertex
from simulations.identities import START_MS, make_identity
from simulations.observers import Observer

if TYPE_CHECKING:
    from dag.vertex import SignedVertex
    from meshnode.core.messages import Message
    from simulations.host import Host

ORPHANS: Final = 1_500
PER_PUSH: Final = 50
DEPTH: Final = 1_000
DEEP_MS: Final = 60_000


def _unlimited() -> QuarantineLimits:
    return QuarantineLimits(
        peer_count_max=ENDLESS,
        peer_bytes_max=ENDLESS,
        author_count_max=ENDLESS,
        count_max=ENDLESS,
        bytes_max=ENDLESS,
    )


def _pour(attacker: Host, victim: Host, vertices: Sequence[SignedVertex]) -> None:
    for start in range(0, len(vertices), PER_PUSH):
        part = vertices[start : start + PER_PUSH]
        tell(attacker, victim, Push(tuple(signed.wire for signed in part)))


def flood_with_orphans(trial: Trial) -> int:
    """Own vertices on parents that do not exist; answers how many wait at most."""
    world, (victim, attacker, *_) = make_mesh(trial.seed, 4)
    forger = Forger(attacker.identity, victim.settings.genesis)
    stream = world.streams.get("orphans")
    attacker.mutator = _serve_nothing
    _pour(
        attacker,
        victim,
        [
            forger.make(
                (Ref(stream.randint(1, 500), stream.randbytes(32)),), seq=seq, time_ms=START_MS
            )
            for seq in range(1, ORPHANS + 1)
        ],
    )
    most = 0
    for _ in range(20):
        world.run_for(50)
        most = max(most, victim.summarise().quarantined)
    return most


def flood_with_strangers(trial: Trial) -> int:
    """Vertices of authors nobody knows; answers how many wait for a profile at most."""
    limits = (
        Limits() if trial.guarded else Limits(wants_per_peer_max=ENDLESS, wants_bytes_max=ENDLESS)
    )
    world, (victim, attacker, *_) = make_mesh(trial.seed, 4, limits=limits)
    stream = world.streams.get("strangers")
    attacker.mutator = _serve_nothing
    vertices = []
    for number in range(ORPHANS // PER_PUSH):
        stranger = make_identity(stream.randbytes(32), f"stranger-{number}", "ed25519")
        forger = Forger(stranger, victim.settings.genesis)
        first = Ref(1, stream.randbytes(32))
        vertices += forger.make_chain(first, PER_PUSH, time_ms=START_MS)
    _pour(attacker, victim, vertices)
    most = 0
    for _ in range(20):
        world.run_for(50)
        most = max(most, victim.summarise().unknown_authors)
    return most


def _serve_nothing(_host: Host, _peer: str, message: Message) -> Sequence[Message]:
    return () if isinstance(message, Items) else (message,)


class _Questions(Observer):
    """Counts the vertices that one host asks another for."""

    def __init__(self, asker: Host, asked: Host) -> None:
        self.count = 0
        self._asker = asker
        self._asked = asked
        asker.world.add_observer(self)

    def on_sent(self, host: Host, target: int, message: Message, size_bytes: int) -> None:
        """See `Observer`."""
        del size_bytes
        if host is self._asker and target == self._asked.index and isinstance(message, Get):
            self.count += len(message.ids)


def lead_into_the_past(trial: Trial) -> int:
    """A chain without a beginning, served vertex by vertex; answers how many were asked for."""
    world, (victim, attacker, *_) = make_mesh(trial.seed, 4)
    forger = Forger(attacker.identity, victim.settings.genesis)
    profile = find_own_profile(attacker)
    missing = Ref(profile.lamport + 1, world.streams.get("past").randbytes(32))
    chain = forger.make_chain(missing, DEPTH, time_ms=START_MS, seq=2)
    by_id = {signed.id: signed.wire for signed in chain}

    def serve(_host: Host, _peer: str, message: Message) -> Sequence[Message]:
        if not isinstance(message, Items):
            return (message,)
        wires = tuple(by_id[name] for name in message.missing if name in by_id)
        return (Items(message.request, wires, (), 0, True),) if wires else ()

    attacker.mutator = serve
    questions = _Questions(victim, attacker)
    tell(attacker, victim, Push((chain[-1].wire,)))
    world.run_for(DEEP_MS)
    assert remember_vertex(chain[-1].wire).id in by_id, "the forger signs what it says"
    return questions.count


def _deepen(_right: Any) -> int:
    return ENDLESS


ROWS: Final = (
    Row(
        name="orphan-flood",
        attack="signed vertices on parents that do not exist, 1,500 of them",
        defence="256 wait per peer and per author, the highest goes; 30 s at most",
        code="dag/quarantine.py",
        figure="vertices that wait",
        bound=256,
        mount=flood_with_orphans,
        patches=((dag.intake, "QuarantineLimits", lambda _right: _unlimited),),
    ),
    Row(
        name="unknown-authors",
        attack="vertices of authors nobody knows, 1,500 of them",
        defence="256 per peer wait for a profile, and the sender is asked for it",
        code="meshnode/core/wants.py",
        figure="vertices that wait",
        bound=256,
        mount=flood_with_strangers,
    ),
    Row(
        name="deep-history",
        attack="a chain of 1,000 without a beginning, served parent by parent",
        defence="a walk goes 64 deep; what is deeper is compared, not followed",
        code="meshnode/core/fetching.py",
        figure="vertices asked for",
        bound=66,
        mount=lead_into_the_past,
        patches=((fetching, "DEPTH_MAX", _deepen),),
    ),
)
