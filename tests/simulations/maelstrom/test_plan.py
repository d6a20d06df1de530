"""Plans: what is refused."""

from __future__ import annotations

import pytest

from simulations.errors import BadModel
from simulations.maelstrom.plan import Plan


@pytest.mark.parametrize(
    "options",
    [
        {"workload": "kafka"},
        {"distribution": "normal"},
        {"nodes": 0},
        {"nodes": 129},
        {"rate": 0.0},
        {"rate": float("nan")},
        {"loss": 1.0},
        {"time_limit_ms": 0},
        {"quiet_ms": -1},
    ],
)
def test_plan_is_refused_when_it_makes_no_sense(options):
    with pytest.raises(BadModel):
        Plan(**options)


def test_names_are_maelstroms():
    assert Plan(nodes=3).names == ("n1", "n2", "n3")
