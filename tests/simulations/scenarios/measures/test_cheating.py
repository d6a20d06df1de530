"""A provider that cheats: what it is paid, and when it is found out."""

from __future__ import annotations

from statistics import fmean

import pytest

from market.contracts import Contract
from market.receipts import Receipt
from simulations.economy import dealing
from simulations.errors import CheckFailed
from simulations.scenarios.measures import cheating
from simulations.scenarios.measures.cheating import Parameters, run


def find_profit(**changes: int) -> float:
    parameters = Parameters(deals=100, **changes)
    return fmean(run(parameters, seed).metrics["profit_per_deal_ruv"] for seed in range(4))


def test_honest_provider_earns_price_less_fee_less_cost():
    outcome = run(Parameters(cheats_percent=0, deals=10), 1)
    assert outcome.metrics["profit_per_deal_ruv"] == 100 - 0.5 - 80
    assert (outcome.metrics["cheated"], outcome.metrics["caught"]) == (0, 0)


def test_cheating_pays_while_nobody_checks():
    assert run(Parameters(checked_percent=0, deals=10), 1).metrics["profit_per_deal_ruv"] == 99.5


def test_whoever_is_caught_loses_all_of_its_stake():
    metrics = run(Parameters(checked_percent=100, deals=4), 1).metrics
    assert metrics["caught"] == metrics["cheated"] == 4
    stake_ruv = 1_000 + 0.2 * 100
    assert metrics["slashed_ruv"] == pytest.approx(4 * stake_ruv, abs=0.001)
    assert metrics["profit_per_deal_ruv"] == pytest.approx(-stake_ruv, abs=0.001)
    assert metrics["reputation_bp"] == 0


@pytest.mark.parametrize(("checked", "cheats"), [(5, 100), (12, 50)])
def test_profit_is_the_expected_one(checked: int, cheats: int):
    seen, share = checked / 100, cheats / 100
    expected = (1 - share) * 19.5 + share * ((1 - seen) * 99.5 - seen * 1_020)
    found = find_profit(checked_percent=checked, cheats_percent=cheats)
    # Each of 400 contracts is seen or not: three standard errors of that.
    error = 3 * (1_120**2 * seen * share / 400) ** 0.5
    assert found == pytest.approx(expected, abs=error + 3)


def test_checks_deter_from_the_rate_on_that_counting_gives():
    # Cheating saves 80 and risks 99.5 + 1,020: it stops paying beyond 7.1 % of checks.
    assert find_profit(checked_percent=2) > 19.5 > find_profit(checked_percent=25)


def test_check_that_sees_half_is_worth_half():
    blind = run(Parameters(checked_percent=100, power_percent=0, deals=10), 1).metrics
    half = run(Parameters(checked_percent=100, power_percent=50, deals=40), 1).metrics
    assert blind["caught"] == 0
    assert 10 <= half["caught"] <= 30


def test_receipts_that_the_buyer_did_not_sign_are_refused():
    metrics = run(Parameters(checked_percent=0, deals=5), 1).metrics
    assert metrics["forged"] == 5


def test_forgery_that_is_taken_is_told(monkeypatch: pytest.MonkeyPatch):
    receipt = Receipt(bytes(32), bytes(32), 1, 0, 0, 0, 0, bytes(32), final=True)

    def meet(*arguments) -> Contract:
        contract = dealing.meet(*arguments)
        contract.receipt = receipt
        return contract

    monkeypatch.setattr(cheating, "meet", meet)
    with pytest.raises(CheckFailed, match="a receipt counts that the buyer never signed"):
        run(Parameters(deals=1), 1)


def test_stake_that_stays_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cheating, "condemn", lambda *_arguments, **_options: None)
    with pytest.raises(CheckFailed, match="a provider that was found out keeps stake"):
        run(Parameters(deals=1, checked_percent=100), 1)
