"""A row measures one attack twice, and leaves the core as it was."""

from __future__ import annotations

import msgspec
import pytest

from meshnode.core import dissemination
from simulations.abuse.floods import ROWS
from simulations.abuse.rows import Row, Trial, measure, switched_off

FLOOD = ROWS[0]


def make_row(without: int, guarded: int) -> Row:
    return Row(
        name="toy",
        attack="none",
        defence="none",
        code="none",
        figure="nothing",
        bound=5,
        mount=lambda trial: guarded if trial.guarded else without,
    )


def test_same_seed_gives_the_same_record():
    assert measure(FLOOD, seed=7) == measure(FLOOD, seed=7)


def fail_without_it(right: int) -> None:
    with switched_off(FLOOD.patches):
        assert right < dissemination.ANNOUNCED_MAX
        raise ZeroDivisionError


def test_defence_is_back_however_a_run_ends():
    right = dissemination.ANNOUNCED_MAX
    with pytest.raises(ZeroDivisionError):
        fail_without_it(right)
    assert right == dissemination.ANNOUNCED_MAX


@pytest.mark.parametrize(
    ("without", "guarded", "holds"), [(6, 5, True), (5, 5, False), (9, 6, False)]
)
def test_defence_holds_where_only_it_keeps_the_bound(without: int, guarded: int, holds: bool):
    record = measure(make_row(without, guarded), seed=3)
    assert record.holds is holds
    assert record.seed == 3
    assert msgspec.to_builtins(record)["row"] == "toy"


def test_attack_is_mounted_from_its_seed():
    assert FLOOD.mount(Trial(1, guarded=True)) == FLOOD.mount(Trial(1, guarded=True))
