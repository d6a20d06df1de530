"""What goes wrong in a run, as a list: replicas that slow down, die, refuse, lie or are cut off.

Times are shares of the trace's duration, so that one plan fits every trace.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from simulations.errors import BadModel

if TYPE_CHECKING:
    from simulations.streams import Streams

Kind = Literal["straggler", "killed", "rate-limit", "partition", "rubbish"]
KINDS: Final[tuple[Kind, ...]] = ("straggler", "killed", "rate-limit", "partition", "rubbish")
SPAN: Final = (0.3, 0.6)
"""Everything lasts for 30 % of the run, once routers have learned who is who."""
SLOWDOWN: Final = 8.0


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong, for a while."""

    kind: Kind
    replicas: tuple[int, ...]
    routers: tuple[int, ...] = ()
    """Who cannot reach them, where they are cut off."""
    factor: float = SLOWDOWN
    begin: float = SPAN[0]
    end: float = SPAN[1]


def plan_faults(
    kind: Kind, replicas: int, routers: int, streams: Streams, *, factor: float = SLOWDOWN
) -> tuple[Fault, ...]:
    """Draw whom a fault hits: one replica; a quota domain of a quarter of them where limits do."""
    if kind not in KINDS:
        raise BadModel(f"nothing called {kind!r} goes wrong", hint=f"one of {', '.join(KINDS)}")
    stream = streams.get("faults")
    hit = 1 if kind != "rate-limit" else max(1, replicas // 4)
    chosen = tuple(sorted(stream.sample(range(replicas), hit)))
    cut = tuple(range((routers + 1) // 2)) if kind == "partition" else ()
    return (Fault(kind, chosen, cut, factor),)
