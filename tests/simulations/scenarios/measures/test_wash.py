"""What reputation costs a wash trader: the fee, to the last micro-ruv."""

from __future__ import annotations

import pytest

from market.commands import Transfer
from simulations.errors import CheckFailed
from simulations.scenarios.measures import wash
from simulations.scenarios.measures.wash import Parameters, run


@pytest.mark.parametrize("volume_ruv", [7, 2_000, 20_000, 123_457])
def test_wash_trader_pays_exactly_the_fee(volume_ruv: int):
    metrics = run(Parameters(volume_ruv=volume_ruv, deals=7), 1).metrics
    turned_over = volume_ruv // 7 * 7
    assert metrics["paid_ruv"] == pytest.approx(turned_over * 0.005, abs=1e-9)
    assert metrics["paid_ruv"] == pytest.approx(metrics["burned_ruv"] + metrics["pooled_ruv"])


@pytest.mark.parametrize("deals", [1, 5, 100])
def test_reputation_is_that_of_the_fees_burned_however_they_are_spread(deals: int):
    metrics = run(Parameters(volume_ruv=20_000, deals=deals), 1).metrics
    # 0.25 % of 20,000 ruv are burned, which is the 50 ruv that make half a reputation.
    assert metrics["burned_ruv"] == 50
    assert metrics["reputation_bp"] == 5_000


def test_stake_bounds_what_can_be_bought():
    metrics = run(Parameters(volume_ruv=400_000, deals=200, stake_ruv=900), 1).metrics
    assert metrics["reputation_bp"] == 9_000
    assert metrics["burned_ruv"] == 1_000


def test_reputation_rises_with_what_is_paid():
    points = run(Parameters(deals=10), 1).series["reputation_by_paid"]
    assert [paid for paid, _ in points] == sorted(paid for paid, _ in points)
    assert [bp for _, bp in points] == sorted(bp for _, bp in points)


def test_money_that_goes_elsewhere_is_told(monkeypatch: pytest.MonkeyPatch):
    # Half of what should come back stays with somebody else.
    def lose(exchange, giver, receiver):
        exchange.say(giver, Transfer(exchange.members[0].id, 5))
        exchange.commit()

    monkeypatch.setattr(wash, "give_back", lose)
    with pytest.raises(CheckFailed, match="wash: "):
        run(Parameters(deals=1), 1)
