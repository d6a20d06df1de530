"""Records of made-up runs, for tests of what is done with results."""

from __future__ import annotations

import random
from collections.abc import Sequence

from simulations.results import Outcome, Record, Task


def make_record(
    seed: int = 0, *, error: str = "", metrics: dict[str, float] | None = None, **parameters
) -> Record:
    """A run whose numbers follow from its seed and parameters."""
    task = Task(scenario="made-up", measure="made", parameters=parameters, seed=seed)
    if error:
        return Record(key=task.key, task=task, error=error)
    stream = random.Random(f"{seed} {sorted(parameters.items())}")
    outcome = Outcome(
        world={
            "seed": seed,
            "fidelity": "cached",
            "events": 10,
            "nodes": 4,
            "digest": f"{seed:032x}",
        },
        metrics=metrics or {"share": stream.random()},
        samples={"delivery_ms": [round(stream.uniform(1, 90), 3) for _ in range(20)]},
        series={"coverage": [(x, min(1.0, x / stream.randint(40, 90))) for x in range(0, 100, 10)]},
    )
    return Record(key=task.key, task=task, outcome=outcome)


def make_records(
    fanouts: Sequence[int] = (1, 2, 4), nodes: Sequence[int] = (10, 100), seeds: int = 3
) -> list[Record]:
    """A grid of runs."""
    return [
        make_record(seed, fanout=fanout, nodes=count)
        for fanout in fanouts
        for count in nodes
        for seed in range(seeds)
    ]
