"""A run as data: everything that decides it, as JSON lines that replay it.

The first line is the run, each further line one fault of its plan.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec.structs import replace

from simulations.errors import SimulationError
from simulations.faults import Fault
from simulations.fidelity import Fidelity
from simulations.fuzzing.plan import draw_plan
from simulations.fuzzing.pruning import AWAY_MS, Pruning, draw_absence, draw_pruning
from simulations.kernel import TieBreak
from simulations.streams import Streams

NODES_MIN: Final = 4
NODES_MAX: Final = 10
VERTICES_MIN: Final = 200
FORMAT: Final = 1
OVERLAY_SHARE: Final = 4
"""One run in so many goes without a full mesh."""


class BadPlan(SimulationError):
    """A saved plan cannot be read."""

    code = "bad_plan"


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """One run; equal specs give equal digests."""

    seed: int
    nodes: int
    safety_ms: int
    """How long things go wrong."""
    heal_ms: int = 180_000
    """How soon after that all honest hosts must agree."""
    publications: int = VERTICES_MIN
    suite: Literal["hybrid", "ed25519"] = "ed25519"
    fidelity: Fidelity = "objects"
    tie_break: TieBreak = "random"
    median_ms: int = 20
    """Latency one way."""
    sigma: float = 0.1
    loss: float = 0.0
    overlay: bool = False
    """Whether more than three members count as too many for a full mesh."""
    order: bool = False
    """Whether validators make blocks, where there are few enough liars for that."""
    pruning: Pruning | None = None
    """How history is forgotten; None where all of it is kept."""
    mutant: str = ""
    """A seeded bug that is switched on; see `simulations.fuzzing.mutants`."""
    faults: tuple[Fault, ...] = ()


class _Header(Spec, frozen=True, kw_only=True):
    format: int = FORMAT


def draw_spec(
    seed: int,
    *,
    fidelity: Fidelity = "objects",
    mutant: str = "",
    order: bool = False,
    prune: bool = False,
) -> Spec:
    """The run that a seed stands for.

    With `order` validators make blocks in it; with `prune` they do, and history is forgotten.
    """
    stream = Streams(seed).get("spec")
    nodes = stream.randint(NODES_MIN, NODES_MAX)
    safety_ms = stream.randrange(12_000, 24_000)
    spec = Spec(
        seed=seed,
        nodes=nodes,
        safety_ms=safety_ms,
        publications=stream.randrange(VERTICES_MIN, VERTICES_MIN + 60),
        fidelity=fidelity,
        median_ms=stream.choice((1, 5, 20, 60, 120)),
        sigma=stream.choice((0.0, 0.1, 0.5)),
        loss=stream.choice((0.0, 0.0, 0.01, 0.1)),
        mutant=mutant,
        faults=draw_plan(stream, nodes, safety_ms),
        overlay=not mutant and stream.randrange(OVERLAY_SHARE) == 0,
        order=order,
    )
    return forget_history(spec) if prune else spec


def forget_history(spec: Spec) -> Spec:
    """The same run with validators and a short history, and perhaps with somebody long away."""
    stream = Streams(spec.seed).get("pruning")
    safety_ms = spec.safety_ms + AWAY_MS
    pruning = draw_pruning(stream, spec.nodes)
    away = draw_absence(stream, spec.nodes, safety_ms, len(spec.faults) + 1)
    return replace(
        spec, safety_ms=safety_ms, order=True, pruning=pruning, faults=(*spec.faults, *away)
    )


def save_spec(spec: Spec, path: Path) -> None:
    """Write a run as JSON lines."""
    fields = {name: getattr(spec, name) for name in Spec.__struct_fields__}
    header = _Header(**{**fields, "faults": ()})
    lines = [msgspec.json.encode(header), *(msgspec.json.encode(fault) for fault in spec.faults)]
    path.write_bytes(b"\n".join(lines) + b"\n")


def load_spec(path: Path) -> Spec:
    """Read a run back. Raises `BadPlan`."""
    try:
        first, *others = path.read_bytes().splitlines()
        header = msgspec.json.decode(first, type=_Header)
        faults = tuple(msgspec.json.decode(line, type=Fault) for line in others if line.strip())
    except (OSError, ValueError, msgspec.DecodeError) as error:
        raise BadPlan(
            f"{path}: {error}", hint="give a file that `fuzz` or `shrink` wrote"
        ) from None
    if header.format != FORMAT:
        raise BadPlan(f"{path} has format {header.format}, this version reads {FORMAT}")
    fields = {name: getattr(header, name) for name in Spec.__struct_fields__}
    return Spec(**{**fields, "faults": faults})
