"""Members that announce and do not serve, and members that lie about what they hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dag.types import Ref
from meshnode.core import reconciliation, requests
from meshnode.core.fetching import Fetching
from meshnode.core.messages import Digest, Get, Heads, Items
from meshnode.core.overlay import Overlay
from meshnode.core.settings import Limits, Timing
from simulations.abuse.arena import ENDLESS, Holdings, make_mesh, tell
from simulations.abuse.rows import Row, Trial
from simulations.errors import Unreached
from simulations.fuzzing.mutants.patches import answer
from simulations.mutators import make_mutator
from simulations.observers import Observer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshnode.core.messages import Message
    from simulations.host import Host

MEMBERS: Final = 30
MUTE: Final = 15
NOTES: Final = 20
WAIT_MS: Final = 60_000
LYING_S: Final = 120
LARGE: Final = Limits(full_mesh_max=8)
PATIENT: Final = Timing(get_ms=ENDLESS, unequal_ms=ENDLESS)
"""Nobody else is asked, and stores are not compared."""


def withhold(trial: Trial) -> int:
    """Half announces and serves nothing; answers when the last honest note is everywhere."""
    timing = Timing() if trial.guarded else PATIENT
    world, mesh = make_mesh(trial.seed, MEMBERS, limits=LARGE, timing=timing)
    mute, honest = mesh[:MUTE], mesh[MUTE:]
    for host in mute:
        host.mutator = make_mutator("mute", 100, world.streams.get(f"mute {host.index}"))
    holdings = Holdings(world)
    start_ms = world.now_ms
    for number in range(NOTES):
        world.at(start_ms + 100 * number, honest[number % len(honest)].publish, b"honest")

    def is_everywhere() -> bool:
        known = [holders for holders in holdings.since_ms.values() if len(holders) >= len(honest)]
        return len(known) >= NOTES and all(
            all(host.index in holders for host in honest) for holders in holdings.since_ms.values()
        )

    try:
        world.run_until(is_everywhere, WAIT_MS)
    except Unreached:
        return WAIT_MS
    return world.now_ms - start_ms - 100 * (NOTES - 1)


def _ask_one_only(right: Any) -> Any:
    def want(self: Any, peer: str, ids: Any, due_ms: int, **named: Any) -> None:
        right(self, peer, ids, due_ms, **{**named, "again_ms": 0})

    return want


class _Asked(Observer):
    """Counts the vertices one host asks another for."""

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


def lie_about_heads(trial: Trial) -> int:
    """Heads that nobody holds, for two minutes; answers how many vertices are asked for in vain."""
    limits = Limits() if trial.guarded else Limits(strikes_max=ENDLESS)
    world, (victim, attacker, *_) = make_mesh(trial.seed, 4, limits=limits)
    attacker.mutator = _serve_nothing
    asked = _Asked(victim, attacker)
    stream = world.streams.get("lies")

    def lie() -> None:
        heads = tuple(sorted(Ref(stream.randint(50, 90), stream.randbytes(32)) for _ in range(8)))
        digest = Digest(stream.randbytes(32), 90, 90)
        tell(attacker, victim, digest, Heads(heads, digest, reply=False, lacks=True))

    for number in range(LYING_S):
        world.at(world.now_ms + 1_000 * number, lie)
    world.run_for(1_000 * LYING_S)
    return asked.count


def _serve_nothing(_host: Host, _peer: str, message: Message) -> Sequence[Message]:
    return () if isinstance(message, Items) else (message,)


def _any_number(_right: Any) -> int:
    return ENDLESS


def _no_time(_right: Any) -> int:
    return 0


ROWS: Final = (
    Row(
        name="withholding",
        attack="15 of 30 members announce and serve nothing",
        defence="the next holder is asked, stores are compared, who is silent loses its place",
        code="meshnode/core/fetching.py, overlay.py, reconciliation.py",
        figure="ms until honest notes are everywhere",
        bound=5_000,
        mount=withhold,
        patches=((Fetching, "want", _ask_one_only), (Overlay, "on_withheld", answer(None))),
    ),
    Row(
        name="digest-lies",
        attack="digests and heads that nobody holds, every second for 2 minutes",
        defence="two GETs left open and heads lead to nothing for 60 s; strikes, then a ban",
        code="meshnode/core/reconciliation.py, range_sync.py",
        figure="vertices asked for in vain",
        bound=100,
        mount=lie_about_heads,
        patches=(
            (requests, "LATE_MAX", _any_number),
            (reconciliation, "BACK_OFF_MS", _no_time),
        ),
    ),
)
