"""Whom a person means, why nobody can be asked, and the rows that are kept of both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meshnode.engines.base import EngineError, EngineFault
from meshnode.errors import (
    CommandRejected,
    DeadlineExceeded,
    MeshError,
    NoPeerServes,
    PolicyRefused,
)
from meshnode.routing.decision import Obstacle
from meshnode.routing.query import AUTO_MODEL
from meshnode.serving.protocol import clip_text
from meshnode.shell.placement_table import Placement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshnode.routing.decision import Candidate, Decision
    from meshnode.routing.query import Query
    from meshnode.serving.port import MeshPort
    from meshnode.serving.target import Target

PREFIX_CHARS_MIN: Final = 4
DESCRIBED_MAX: Final = 16
SERVES_NOTHING: Final = "serves nothing"
_BUSY: Final = frozenset({Obstacle.COOLDOWN, Obstacle.BREAKER, Obstacle.DEAD, Obstacle.DEADLINE})
"""What passes by itself."""


def find_peer(targets: Sequence[Target], wanted: str) -> str:
    """The one peer a person means. Raises `CommandRejected` and `NoPeerServes`."""
    found = [target for target in targets if _is_meant(target, wanted)]
    if len(found) == 1:
        return found[0].peer
    names = ", ".join(f"{target.name} ({target.author.hex()[:8]})" for target in targets)
    if found:
        raise CommandRejected(f"'{wanted}' means {len(found)} peers", hint=f"connected: {names}")
    raise NoPeerServes(
        f"no connected peer is called '{wanted}'", hint=f"connected: {names or 'nobody'}"
    )


def _is_meant(target: Target, wanted: str) -> bool:
    by_author = len(wanted) >= PREFIX_CHARS_MIN and target.author.hex().startswith(wanted.lower())
    return by_author or wanted in {target.peer, target.name}


def describe_no_target(query: Query, decision: Decision) -> MeshError:
    """Why a question has nowhere to go, in one clear line."""
    looked_at = [each for each in decision.candidates if each.obstacle is not Obstacle.OTHER_PEER]
    if not looked_at:
        return NoPeerServes(
            "no peer is connected, and this node has no engine",
            hint="start with an engine, or connect to a peer that has one",
        )
    wanted = "any model" if query.model == AUTO_MODEL else f"model '{query.model}'"
    reasons = "; ".join(f"{each.name}: {each.detail}" for each in looked_at[:DESCRIBED_MAX])
    obstacles = {each.obstacle for each in looked_at}
    if obstacles == {Obstacle.DEADLINE}:
        return DeadlineExceeded(
            f"nobody is likely to answer for {wanted} in time ({reasons})",
            hint="allow more time for it",
        )
    if obstacles & _BUSY:
        return EngineError(
            EngineFault.OVERLOADED,
            f"nobody can answer for {wanted} right now ({reasons})",
            retry_after_ms=decision.retry_after_ms or None,
            hint="ask again later",
        )
    if Obstacle.OWNER_ONLY in obstacles and all(map(_is_barred, looked_at)):
        return PolicyRefused(
            f"what could serve {wanted} is somebody's own account, and serves its owner only "
            f"({reasons})",
            hint="ask a peer that hosts its own weights, or use an account of your own",
        )
    return NoPeerServes(
        f"nobody reachable serves {wanted} ({reasons})",
        hint="ask for a model that is served, or wait for a peer that serves it",
    )


def _is_barred(candidate: Candidate) -> bool:
    """Whether it is an account of somebody else's, or serves nothing anyway."""
    if candidate.obstacle is Obstacle.MODEL:
        return candidate.detail == SERVES_NOTHING
    return candidate.obstacle in {Obstacle.OWNER_ONLY, Obstacle.EXPIRED}


def make_placement(port: MeshPort, target: Target, reason: str) -> Placement:
    """The row of a question that this node sends somewhere."""
    if not target.local and port.sealing is not None and port.sealing.can_seal(target.peer):
        reason = f"{reason}, sealed"
    return Placement(
        time_ms=port.read_clock_ms(),
        role="asking",
        requester=port.author,
        owner=target.author,
        backend="hosted" if target.shareable else "account",
        engine=clip_text(target.engine),
        model=clip_text(target.model),
        allowed=True,
        reason=reason,
    )


def make_denied(port: MeshPort, model: str, reason: str) -> Placement:
    """The row of a question that this node has nowhere to send."""
    return Placement(
        time_ms=port.read_clock_ms(),
        role="asking",
        requester=port.author,
        owner=b"",
        backend="",
        engine="",
        model=clip_text(model),
        allowed=False,
        reason=clip_text(reason, chars_max=1_024),
    )
